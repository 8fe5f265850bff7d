/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Births and deaths of cgroups below the attach point. */
#pragma once

#include "compat.h"
#include "maps.h"

static __always_inline void cw_lifecycle(struct cgroup *cgroup, const char *path, bool born)
{
	struct cw_lifecycle *record;

	/* Each v1 hierarchy reports its own cgroups through the same tracepoint. */
	if (BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
		return;
	if (BPF_CORE_READ(cgroup, level) <= cw_attach_level || cw_ancestor_id(cgroup, cw_attach_level) != cw_attach_id)
		return;
	record = bpf_ringbuf_reserve(&cw_lifecycles, sizeof(*record), 0);
	if (!record) {
		cw_count(CW_COUNT_LIFECYCLE_FULL);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->time_ns = bpf_ktime_get_boot_ns();
	record->cgroup = BPF_CORE_READ(cgroup, kn, id);
	record->born = born;
	bpf_probe_read_kernel_str(record->path, sizeof(record->path), path);
	/* Rare, and a new container has some 40 ms until its first instruction: always wake. */
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}
