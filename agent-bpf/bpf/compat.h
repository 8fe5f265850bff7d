/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What differs between kernels. */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"

/* Linux 6.2 (a35b9af4ec2c): kernel objects can be read by plain loads, without a helper call for each field. */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

/* Set by the loader when the kernel has bpf_rdonly_cast. The branch that is not taken is dead code to the verifier. */
const volatile bool cw_plain_loads = false;

/* A function that the verifier checks by itself: of its result it knows nothing where it is called. Weak, so that the compiler
 * does not either: clang 19 leaves out tests of results that it has worked out, and the verifier refuses what is left. */
#define CW_CHECKED_ALONE __weak __noinline

/* The address in a pointer as a plain number: the verifier allows no arithmetic on pointers to sockets and contexts, so the
 * pointer is put on the stack and read back from there. */
static __always_inline void *cw_address(void *pointer)
{
	void *address = NULL;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* The kernel's object behind a pointer that the verifier knows under another type. In cgroup/sock programs the context is
 * the struct sock itself (BPF_CGROUP_RUN_SK_PROG passes sk). */
#define cw_object(type, pointer)                                                                                               \
	(cw_plain_loads ? (struct type *)bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(struct type))                      \
			: (struct type *)cw_address(pointer))

/* A field of such an object. Without plain loads: bpf_probe_read_kernel, which CAP_PERFMON opens to every program type
 * since Linux 5.8 (2c78ee898d8f). */
#define cw_read(object, field)                                                                                                 \
	({                                                                                                                     \
		typeof((object)->field) value_;                                                                                \
		if (cw_plain_loads)                                                                                            \
			value_ = (object)->field;                                                                              \
		else                                                                                                           \
			bpf_core_read(&value_, sizeof(value_), &(object)->field);                                              \
		value_;                                                                                                        \
	})

#define cw_read_bits(object, field)                                                                                            \
	(cw_plain_loads ? BPF_CORE_READ_BITFIELD(object, field) : BPF_CORE_READ_BITFIELD_PROBED(object, field))

/* Id of the ancestor at a level, 0: none. Read with the helper also where plain loads exist: the verifier refuses a variable
 * index into a flexible array. */
static __always_inline __u64 cw_ancestor_at(__u64 base, int level)
{
	struct cgroup *cgroup = (struct cgroup *)base;
	__u64 id = 0;

	if (bpf_core_field_exists(cgroup->ancestors)) {
		struct cgroup *ancestor = NULL;
		struct kernfs_node *node;

		bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
				      (void *)(base + bpf_core_field_offset(struct cgroup, ancestors) +
					       level * sizeof(ancestor)));
		if (!ancestor)
			return 0;
		node = BPF_CORE_READ(ancestor, kn);
		id = BPF_CORE_READ(node, id);
	} else {
		bpf_probe_read_kernel(&id, sizeof(id),
				      (void *)(base + bpf_core_field_offset(struct cgroup___ids, ancestor_ids) +
					       level * sizeof(id)));
	}
	return id;
}

static __always_inline __u64 cw_ancestor_id(struct cgroup *cgroup, int level)
{
	return cw_ancestor_at((__u64)cw_address(cgroup), level);
}

static __always_inline struct cgroup *cw_socket_cgroup(struct sock *sk)
{
	return cw_read(sk, sk_cgrp_data.cgroup);
}

static __always_inline __u64 cw_cgroup_id(struct cgroup *cgroup)
{
	struct kernfs_node *node = cw_read(cgroup, kn);

	return cw_read(node, id);
}
