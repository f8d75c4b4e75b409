// table
// public/physdev.h: physical interrupts, I/O privilege. Left out: structures of PCI and MSI operations.

import { i32, struct, u8, u16, u32, u64 } from "./struct.ts";

export const PHYSDEVOP_irq_status_query = 5;
export const PHYSDEVOP_set_iopl = 6;
export const PHYSDEVOP_set_iobitmap = 7;
export const PHYSDEVOP_apic_read = 8;
export const PHYSDEVOP_apic_write = 9;
export const PHYSDEVOP_alloc_irq_vector = 10;
export const PHYSDEVOP_free_irq_vector = 11;
export const PHYSDEVOP_eoi = 12;
export const PHYSDEVOP_map_pirq = 13;
export const PHYSDEVOP_unmap_pirq = 14;
export const PHYSDEVOP_manage_pci_add = 15;
export const PHYSDEVOP_manage_pci_remove = 16;
export const PHYSDEVOP_pirq_eoi_gmfn_v1 = 17;
export const PHYSDEVOP_restore_msi = 19;
export const PHYSDEVOP_manage_pci_add_ext = 20;
export const PHYSDEVOP_setup_gsi = 21;
export const PHYSDEVOP_get_free_pirq = 23;
export const PHYSDEVOP_pci_mmcfg_reserved = 24;
export const PHYSDEVOP_pci_device_add = 25;
export const PHYSDEVOP_pci_device_remove = 26;
export const PHYSDEVOP_restore_msi_ext = 27;
export const PHYSDEVOP_pirq_eoi_gmfn_v2 = 28;
export const PHYSDEVOP_dbgp_op = 29;
export const PHYSDEVOP_prepare_msix = 30;
export const PHYSDEVOP_release_msix = 31;

export const PhysdevEoi = struct("physdev_eoi", 4, { irq: u32(0) });
export const PhysdevPirqEoiGmfn = struct("physdev_pirq_eoi_gmfn", 8, { gmfn: u64(0) });

export const PhysdevIrqStatusQuery = struct("physdev_irq_status_query", 8, {
  irq: u32(0),
  flags: u32(4), // [XEN] XENIRQSTAT_*
});
export const XENIRQSTAT_needs_eoi = 1;
export const XENIRQSTAT_shared = 2;

export const PhysdevSetIopl = struct("physdev_set_iopl", 4, { iopl: u32(0) });

export const PhysdevSetIobitmap = struct("physdev_set_iobitmap", 16, {
  bitmap: u64(0), // address
  nr_ports: u32(8),
});

export const PhysdevApic = struct("physdev_apic", 16, { apic_physbase: u64(0), reg: u32(8), value: u32(12) });
export const PhysdevIrq = struct("physdev_irq", 8, { irq: u32(0), vector: u32(4) });

export const MAP_PIRQ_TYPE_MSI = 0;
export const MAP_PIRQ_TYPE_GSI = 1;
export const MAP_PIRQ_TYPE_UNKNOWN = 2;
export const MAP_PIRQ_TYPE_MSI_SEG = 3;
export const MAP_PIRQ_TYPE_MULTI_MSI = 4;

export const PhysdevMapPirq = struct("physdev_map_pirq", 40, {
  domid: u16(0),
  type: i32(4), // MAP_PIRQ_TYPE_*
  index: i32(8),
  pirq: i32(12),
  bus: i32(16),
  devfn: i32(20),
  entry_nr: i32(24),
  table_base: u64(32),
});
export const PhysdevUnmapPirq = struct("physdev_unmap_pirq", 8, { domid: u16(0), pirq: i32(4) });
export const PhysdevSetupGsi = struct("physdev_setup_gsi", 8, { gsi: i32(0), triggering: u8(4), polarity: u8(5) });
export const PhysdevGetFreePirq = struct("physdev_get_free_pirq", 8, { type: i32(0), pirq: u32(4) });
