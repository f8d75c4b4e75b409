/* Generated from shared/abi/physdev.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_PHYSDEV_H
#define XENOLITH_PHYSDEV_H

#define PHYSDEVOP_irq_status_query 5
#define PHYSDEVOP_set_iopl 6
#define PHYSDEVOP_set_iobitmap 7
#define PHYSDEVOP_apic_read 8
#define PHYSDEVOP_apic_write 9
#define PHYSDEVOP_alloc_irq_vector 10
#define PHYSDEVOP_free_irq_vector 11
#define PHYSDEVOP_eoi 12
#define PHYSDEVOP_map_pirq 13
#define PHYSDEVOP_unmap_pirq 14
#define PHYSDEVOP_manage_pci_add 15
#define PHYSDEVOP_manage_pci_remove 16
#define PHYSDEVOP_pirq_eoi_gmfn_v1 17
#define PHYSDEVOP_restore_msi 19
#define PHYSDEVOP_manage_pci_add_ext 20
#define PHYSDEVOP_setup_gsi 21
#define PHYSDEVOP_get_free_pirq 23
#define PHYSDEVOP_pci_mmcfg_reserved 24
#define PHYSDEVOP_pci_device_add 25
#define PHYSDEVOP_pci_device_remove 26
#define PHYSDEVOP_restore_msi_ext 27
#define PHYSDEVOP_pirq_eoi_gmfn_v2 28
#define PHYSDEVOP_dbgp_op 29
#define PHYSDEVOP_prepare_msix 30
#define PHYSDEVOP_release_msix 31
#define XENIRQSTAT_needs_eoi 1
#define XENIRQSTAT_shared 2
#define MAP_PIRQ_TYPE_MSI 0
#define MAP_PIRQ_TYPE_GSI 1
#define MAP_PIRQ_TYPE_UNKNOWN 2
#define MAP_PIRQ_TYPE_MSI_SEG 3
#define MAP_PIRQ_TYPE_MULTI_MSI 4

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct physdev_eoi {
  uint32_t irq;
};
_Static_assert(offsetof(struct physdev_eoi, irq) == 0, "physdev_eoi.irq");
_Static_assert(sizeof(struct physdev_eoi) == 4, "physdev_eoi");

struct physdev_pirq_eoi_gmfn {
  uint64_t gmfn;
};
_Static_assert(offsetof(struct physdev_pirq_eoi_gmfn, gmfn) == 0, "physdev_pirq_eoi_gmfn.gmfn");
_Static_assert(sizeof(struct physdev_pirq_eoi_gmfn) == 8, "physdev_pirq_eoi_gmfn");

struct physdev_irq_status_query {
  uint32_t irq;
  uint32_t flags;
};
_Static_assert(offsetof(struct physdev_irq_status_query, irq) == 0, "physdev_irq_status_query.irq");
_Static_assert(offsetof(struct physdev_irq_status_query, flags) == 4, "physdev_irq_status_query.flags");
_Static_assert(sizeof(struct physdev_irq_status_query) == 8, "physdev_irq_status_query");

struct physdev_set_iopl {
  uint32_t iopl;
};
_Static_assert(offsetof(struct physdev_set_iopl, iopl) == 0, "physdev_set_iopl.iopl");
_Static_assert(sizeof(struct physdev_set_iopl) == 4, "physdev_set_iopl");

struct physdev_set_iobitmap {
  uint64_t bitmap;
  uint32_t nr_ports;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct physdev_set_iobitmap, bitmap) == 0, "physdev_set_iobitmap.bitmap");
_Static_assert(offsetof(struct physdev_set_iobitmap, nr_ports) == 8, "physdev_set_iobitmap.nr_ports");
_Static_assert(sizeof(struct physdev_set_iobitmap) == 16, "physdev_set_iobitmap");

struct physdev_apic {
  uint64_t apic_physbase;
  uint32_t reg;
  uint32_t value;
};
_Static_assert(offsetof(struct physdev_apic, apic_physbase) == 0, "physdev_apic.apic_physbase");
_Static_assert(offsetof(struct physdev_apic, reg) == 8, "physdev_apic.reg");
_Static_assert(offsetof(struct physdev_apic, value) == 12, "physdev_apic.value");
_Static_assert(sizeof(struct physdev_apic) == 16, "physdev_apic");

struct physdev_irq {
  uint32_t irq;
  uint32_t vector;
};
_Static_assert(offsetof(struct physdev_irq, irq) == 0, "physdev_irq.irq");
_Static_assert(offsetof(struct physdev_irq, vector) == 4, "physdev_irq.vector");
_Static_assert(sizeof(struct physdev_irq) == 8, "physdev_irq");

struct physdev_map_pirq {
  uint16_t domid;
  uint8_t _gap0[2];
  int32_t type;
  int32_t index;
  int32_t pirq;
  int32_t bus;
  int32_t devfn;
  int32_t entry_nr;
  uint8_t _gap1[4];
  uint64_t table_base;
};
_Static_assert(offsetof(struct physdev_map_pirq, domid) == 0, "physdev_map_pirq.domid");
_Static_assert(offsetof(struct physdev_map_pirq, type) == 4, "physdev_map_pirq.type");
_Static_assert(offsetof(struct physdev_map_pirq, index) == 8, "physdev_map_pirq.index");
_Static_assert(offsetof(struct physdev_map_pirq, pirq) == 12, "physdev_map_pirq.pirq");
_Static_assert(offsetof(struct physdev_map_pirq, bus) == 16, "physdev_map_pirq.bus");
_Static_assert(offsetof(struct physdev_map_pirq, devfn) == 20, "physdev_map_pirq.devfn");
_Static_assert(offsetof(struct physdev_map_pirq, entry_nr) == 24, "physdev_map_pirq.entry_nr");
_Static_assert(offsetof(struct physdev_map_pirq, table_base) == 32, "physdev_map_pirq.table_base");
_Static_assert(sizeof(struct physdev_map_pirq) == 40, "physdev_map_pirq");

struct physdev_unmap_pirq {
  uint16_t domid;
  uint8_t _gap0[2];
  int32_t pirq;
};
_Static_assert(offsetof(struct physdev_unmap_pirq, domid) == 0, "physdev_unmap_pirq.domid");
_Static_assert(offsetof(struct physdev_unmap_pirq, pirq) == 4, "physdev_unmap_pirq.pirq");
_Static_assert(sizeof(struct physdev_unmap_pirq) == 8, "physdev_unmap_pirq");

struct physdev_setup_gsi {
  int32_t gsi;
  uint8_t triggering;
  uint8_t polarity;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct physdev_setup_gsi, gsi) == 0, "physdev_setup_gsi.gsi");
_Static_assert(offsetof(struct physdev_setup_gsi, triggering) == 4, "physdev_setup_gsi.triggering");
_Static_assert(offsetof(struct physdev_setup_gsi, polarity) == 5, "physdev_setup_gsi.polarity");
_Static_assert(sizeof(struct physdev_setup_gsi) == 8, "physdev_setup_gsi");

struct physdev_get_free_pirq {
  int32_t type;
  uint32_t pirq;
};
_Static_assert(offsetof(struct physdev_get_free_pirq, type) == 0, "physdev_get_free_pirq.type");
_Static_assert(offsetof(struct physdev_get_free_pirq, pirq) == 4, "physdev_get_free_pirq.pirq");
_Static_assert(sizeof(struct physdev_get_free_pirq) == 8, "physdev_get_free_pirq");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_PHYSDEV_H */
