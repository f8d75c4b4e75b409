/* pointers: gives every hypercall that takes a pointer one that is null, not canonical, in the hypervisor's range, straddles its
 * edges or that of the canonical range, wraps around the end, is not mapped, is mapped for its first 4 or 8 bytes only, or is
 * mapped read-only. A broken hypervisor reads or writes its own memory for the guest, or falls over its own fault: it prints
 * another number, writes to the read-only page, or nothing at all. */
#define NAME "pointers"
#include "../attack.h"

#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static char area[2 * PAGE_SIZE] PAGE_ALIGNED; /* the second page is not mapped */
static char readonly[PAGE_SIZE] PAGE_ALIGNED;

#define HERE 0x5a5a5a5a5a5a5a5aul /* stands for the pointer in a list of arguments */

struct call {
  const char *name;
  unsigned number;
  uint64_t args[4];
  /* What is at the pointer, in as far as it can be. */
  const void *content;
  unsigned size;
};

#define C(...) &(__VA_ARGS__), sizeof(__VA_ARGS__)
#define NONE 0, 0

static const struct call calls[] = {
    {"set_trap_table", __HYPERVISOR_set_trap_table, {HERE}, NONE},
    {"set_gdt", __HYPERVISOR_set_gdt, {HERE, 512}, NONE},
    {"mmu_update", __HYPERVISOR_mmu_update, {HERE, 1, 0, DOMID_SELF}, NONE},
    {"mmu_update of two", __HYPERVISOR_mmu_update, {HERE, 2, 0, DOMID_SELF}, NONE},
    {"mmu_update's done count", __HYPERVISOR_mmu_update, {0, 0, HERE, DOMID_SELF}, NONE},
    {"mmuext_op", __HYPERVISOR_mmuext_op, {HERE, 1, 0, DOMID_SELF}, C((struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_LOCAL})},
    {"mmuext_op's done count", __HYPERVISOR_mmuext_op, {0, 0, HERE, DOMID_SELF}, NONE},
    {"multicall", __HYPERVISOR_multicall, {HERE, 1}, C((struct multicall_entry){.op = 99})},
    {"increase_reservation", __HYPERVISOR_memory_op, {XENMEM_increase_reservation, HERE}, NONE},
    {"decrease_reservation", __HYPERVISOR_memory_op, {XENMEM_decrease_reservation, HERE}, NONE},
    {"populate_physmap", __HYPERVISOR_memory_op, {XENMEM_populate_physmap, HERE}, NONE},
    {"exchange", __HYPERVISOR_memory_op, {XENMEM_exchange, HERE}, NONE},
    {"current_reservation", __HYPERVISOR_memory_op, {XENMEM_current_reservation, HERE}, C((uint16_t){0x7000})},
    {"machphys_mapping", __HYPERVISOR_memory_op, {XENMEM_machphys_mapping, HERE}, NONE},
    {"machphys_mfn_list", __HYPERVISOR_memory_op, {XENMEM_machphys_mfn_list, HERE}, NONE},
    {"set_memory_map", __HYPERVISOR_memory_op, {XENMEM_set_memory_map, HERE}, NONE},
    {"add_to_physmap", __HYPERVISOR_memory_op, {XENMEM_add_to_physmap, HERE}, NONE},
    {"xen_version extraversion", __HYPERVISOR_xen_version, {XENVER_extraversion, HERE}, NONE},
    {"xen_version capabilities", __HYPERVISOR_xen_version, {XENVER_capabilities, HERE}, NONE},
    {"xen_version changeset", __HYPERVISOR_xen_version, {XENVER_changeset, HERE}, NONE},
    {"xen_version platform_parameters", __HYPERVISOR_xen_version, {XENVER_platform_parameters, HERE}, NONE},
    {"xen_version get_features", __HYPERVISOR_xen_version, {XENVER_get_features, HERE}, NONE},
    {"xen_version guest_handle", __HYPERVISOR_xen_version, {XENVER_guest_handle, HERE}, NONE},
    {"xen_version commandline", __HYPERVISOR_xen_version, {XENVER_commandline, HERE}, NONE},
    {"console_io", __HYPERVISOR_console_io, {CONSOLEIO_write, 8, HERE}, NONE},
    {"evtchn send", __HYPERVISOR_event_channel_op, {EVTCHNOP_send, HERE}, NONE},
    {"evtchn unmask", __HYPERVISOR_event_channel_op, {EVTCHNOP_unmask, HERE}, NONE},
    {"evtchn close", __HYPERVISOR_event_channel_op, {EVTCHNOP_close, HERE}, NONE},
    {"evtchn status", __HYPERVISOR_event_channel_op, {EVTCHNOP_status, HERE}, C((struct evtchn_status){.dom = DOMID_SELF, .port = 1})},
    {"evtchn alloc_unbound", __HYPERVISOR_event_channel_op, {EVTCHNOP_alloc_unbound, HERE},
     C((struct evtchn_alloc_unbound){.dom = DOMID_SELF})},
    {"evtchn bind_ipi", __HYPERVISOR_event_channel_op, {EVTCHNOP_bind_ipi, HERE}, NONE},
    {"evtchn bind_virq", __HYPERVISOR_event_channel_op, {EVTCHNOP_bind_virq, HERE}, C((struct evtchn_bind_virq){.virq = 77})},
    {"evtchn bind_interdomain", __HYPERVISOR_event_channel_op, {EVTCHNOP_bind_interdomain, HERE}, NONE},
    {"evtchn bind_vcpu", __HYPERVISOR_event_channel_op, {EVTCHNOP_bind_vcpu, HERE}, NONE},
    {"evtchn compat", __HYPERVISOR_event_channel_op_compat, {HERE}, C((uint32_t){EVTCHNOP_send})},
    {"grant map", __HYPERVISOR_grant_table_op, {GNTTABOP_map_grant_ref, HERE, 1}, NONE},
    {"grant unmap", __HYPERVISOR_grant_table_op, {GNTTABOP_unmap_grant_ref, HERE, 1}, NONE},
    {"grant copy", __HYPERVISOR_grant_table_op, {GNTTABOP_copy, HERE, 1}, NONE},
    {"grant transfer", __HYPERVISOR_grant_table_op, {GNTTABOP_transfer, HERE, 1}, NONE},
    {"grant setup_table", __HYPERVISOR_grant_table_op, {GNTTABOP_setup_table, HERE, 1},
     C((struct gnttab_setup_table){.dom = DOMID_SELF})},
    {"grant query_size", __HYPERVISOR_grant_table_op, {GNTTABOP_query_size, HERE, 1},
     C((struct gnttab_query_size){.dom = DOMID_SELF})},
    {"grant get_version", __HYPERVISOR_grant_table_op, {GNTTABOP_get_version, HERE, 1},
     C((struct gnttab_get_version){.dom = DOMID_SELF})},
    {"vcpu get_runstate_info", __HYPERVISOR_vcpu_op, {VCPUOP_get_runstate_info, 0, HERE}, NONE},
    {"vcpu register_vcpu_info", __HYPERVISOR_vcpu_op, {VCPUOP_register_vcpu_info, 0, HERE}, NONE},
    {"vcpu set_singleshot_timer", __HYPERVISOR_vcpu_op, {VCPUOP_set_singleshot_timer, 0, HERE}, NONE},
    {"vcpu set_periodic_timer", __HYPERVISOR_vcpu_op, {VCPUOP_set_periodic_timer, 0, HERE}, C((uint64_t){1000000000})},
    {"vcpu initialise", __HYPERVISOR_vcpu_op, {VCPUOP_initialise, 0, HERE}, NONE},
    {"vcpu get_physid", __HYPERVISOR_vcpu_op, {VCPUOP_get_physid, 0, HERE}, NONE},
    {"sched poll", __HYPERVISOR_sched_op, {SCHEDOP_poll, HERE}, C((struct sched_poll){.nr_ports = 1000})},
    {"sched remote_shutdown", __HYPERVISOR_sched_op, {SCHEDOP_remote_shutdown, HERE}, C((struct sched_remote_shutdown){.domain_id = 0})},
    {"sched watchdog", __HYPERVISOR_sched_op, {SCHEDOP_watchdog, HERE}, C((struct sched_watchdog){.id = 7})},
    {"callback register", __HYPERVISOR_callback_op, {CALLBACKOP_register, HERE}, C((struct callback_register){.type = 77})},
    {"callback unregister", __HYPERVISOR_callback_op, {CALLBACKOP_unregister, HERE}, NONE},
    {"physdev set_iopl", __HYPERVISOR_physdev_op, {PHYSDEVOP_set_iopl, HERE}, NONE},
    {"physdev set_iobitmap", __HYPERVISOR_physdev_op, {PHYSDEVOP_set_iobitmap, HERE}, NONE},
    {"physdev irq_status_query", __HYPERVISOR_physdev_op, {PHYSDEVOP_irq_status_query, HERE}, NONE},
    {"physdev eoi", __HYPERVISOR_physdev_op, {PHYSDEVOP_eoi, HERE}, NONE},
    {"nmi register", __HYPERVISOR_nmi_op, {XENNMI_register_callback, HERE}, C((struct xennmi_callback){0})},
    {"domctl", __HYPERVISOR_domctl, {HERE}, NONE},
    {"sysctl", __HYPERVISOR_sysctl, {HERE}, NONE},
};

struct pointer {
  const char *name;
  uint64_t address;
};

static const struct pointer pointers[] = {
    {"null", 0},
    {"not canonical", NOT_CANONICAL},
    {"not canonical, all bits", 0xffff7fffffffffff},
    {"end of the lower half", NOT_CANONICAL - 4},
    {"Xen's first", HYPERVISOR_VIRT_START},
    {"Xen's last", HYPERVISOR_VIRT_END - 4},
    {"behind Xen's", HYPERVISOR_VIRT_END},
    {"end of all", -8},
    {"last byte", -1},
    {"not mapped", (uint64_t)area + PAGE_SIZE},
    {"4 bytes mapped", (uint64_t)area + PAGE_SIZE - 4},
    {"8 bytes mapped", (uint64_t)area + PAGE_SIZE - 8},
    {"read-only", (uint64_t)readonly},
};

/* What some of the calls may have undone. */
static void restore(void) {
  traps_init();
  events_init();
}

static long call(const struct call *c, const struct pointer *p) {
  uint64_t args[4];
  memset(area, 0, PAGE_SIZE);
  set_page(readonly, frame(mfn_of(readonly), RW));
  memset(readonly, 0, PAGE_SIZE);
  for (unsigned i = 0; i < c->size; i++) {
    readonly[i] = ((const char *)c->content)[i];
    if (i < 4) area[PAGE_SIZE - 4 + i] = readonly[i];
  }
  if (p->address == (uint64_t)area + PAGE_SIZE - 8)
    for (unsigned i = 0; i < 8; i++) area[PAGE_SIZE - 8 + i] = readonly[i];
  set_page(readonly, frame(mfn_of(readonly), RO));
  for (int i = 0; i < 4; i++) args[i] = c->args[i] == HERE ? p->address : c->args[i];
  long result = hypercall4(c->number, args[0], args[1], args[2], args[3]);
  restore();
  for (unsigned i = 0; i < PAGE_SIZE; i++)
    if (readonly[i] != (i < c->size ? ((const char *)c->content)[i] : 0)) printf(NAME ": %s wrote to the read-only page\n", c->name);
  return result;
}

void guest_main(void) {
  set_page(area + PAGE_SIZE, 0);
  printf(NAME ": columns:");
  for (unsigned p = 0; p < sizeof pointers / sizeof *pointers; p++) printf(" %s;", pointers[p].name);
  printf("\n");
  for (unsigned c = 0; c < sizeof calls / sizeof *calls; c++) {
    printf(NAME ": %s:", calls[c].name);
    for (unsigned p = 0; p < sizeof pointers / sizeof *pointers; p++) printf(" %ld", call(&calls[c], &pointers[p]));
    printf("\n");
  }
  printf(NAME ": done\n");
}
