/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a DNS response says, for rules with domain names. The message is a copy: nobody changes it while it is read. Of a
 * response to one question, every A and AAAA record of the answer section counts, whatever its owner: the server answered
 * the question with it, so neither pointers nor chains of aliases are followed, and nothing can loop. A message that is wrong
 * anywhere up to the end of that section says nothing.
 *
 * Compiles natively too, for table tests and fuzzing. The bodies of loops are global functions: the verifier takes each
 * apart once, not once for each turn, and without what it knows of the caller. For it, offsets are masked where they are used.
 */
#pragma once

#include "cellwall/events.h"

#ifdef __bpf__
#define CW_BODY __weak __noinline /* as CW_CHECKED_ALONE of compat.h */
#else
#define CW_BODY static inline
#endif

enum {
	CW_ANSWER_ROOM = 4096,
	CW_ANSWER_MOST = CW_ANSWER_ROOM - 1, /* bytes of a message; longer ones are not read */
	CW_ANSWER_MASK = CW_ANSWER_ROOM - 1,
	CW_ANSWER_HEAD = 12,
	CW_ANSWER_FIXED = 10, /* of a record, between its owner and its data */
	CW_ANSWER_TEXT = 253, /* a name's most bytes, as text */
	CW_ANSWER_LABEL = 63,
	CW_ANSWER_LABELS = 128,
	CW_ANSWER_ADDRESSES = 64, /* further ones are not learned */
	CW_ANSWER_RECORDS = 128,  /* further ones are not read: 64 addresses with their signatures */

	CW_ANSWER_FLAGS = 0xfa0f, /* response, operation, truncated, code */
	CW_ANSWER_GOOD = 0x8000,
	CW_DNS_IN = 1,
	CW_DNS_A = 1,
	CW_DNS_AAAA = 28,

	/* Shorter and longer times to live are taken as these, in seconds. */
	CW_TTL_LEAST = 30,
	CW_TTL_MOST = 3600,
	/* Added: a program looks up, and connects when it comes to it. */
	CW_TTL_GRACE = 60,
};

struct cw_answer_address {
	__u8 address[16];
	__u32 seconds; /* to live, within the limits, with the grace */
};

struct cw_answer {
	__u32 length; /* of the message */
	__u32 at;     /* what is read next */
	__u32 left;   /* of the label that is being read */
	__u32 name_length; /* as text */
	__u32 records;	   /* that the answer section has */
	__u32 found;
	__u32 cut; /* 1: there were more records or addresses than are read */
	__u32 pad;
	struct cw_name_key key; /* of the question's name; rule_set is the caller's */
	struct cw_answer_address addresses[CW_ANSWER_ADDRESSES];
	__u8 message[CW_ANSWER_ROOM + 16]; /* an address that begins at the last offset ends within */
};

static inline __u32 cw_answer_byte(const struct cw_answer *answer, __u32 at)
{
	return answer->message[at & CW_ANSWER_MASK];
}

static inline __u32 cw_answer_word(const struct cw_answer *answer, __u32 at)
{
	return cw_answer_byte(answer, at) << 8 | cw_answer_byte(answer, at + 1);
}

/* The offset behind a name; 0: there is none. With pointers, a name may end in one. */
CW_BODY int cw_answer_skip(struct cw_answer *answer, __u32 at, __u32 pointers)
{
	if (!answer)
		return 0;
	for (int i = 0; i < CW_ANSWER_LABELS; i++) {
		__u32 length;

		if (at >= answer->length)
			return 0;
		length = cw_answer_byte(answer, at);
		if (!length)
			return at + 1;
		if (length > CW_ANSWER_LABEL)
			return length >= 0xc0 && pointers && at + 2 <= answer->length ? at + 2 : 0;
		at += 1 + length;
	}
	return 0;
}

static inline bool cw_is_name_byte(__u32 byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* Puts one byte of the question's name where it belongs when the name is read from its end. False: a byte that no rule has. */
CW_BODY int cw_answer_turn(struct cw_answer *answer, __u32 i)
{
	__u32 byte, place;

	if (!answer)
		return 0;
	byte = cw_answer_byte(answer, CW_ANSWER_HEAD + 1 + i);
	place = answer->name_length - 1 - i;
	if (!answer->left) {
		answer->left = byte;
		byte = '.';
	} else {
		answer->left--;
		if (byte >= 'A' && byte <= 'Z')
			byte += 'a' - 'A';
		if (!cw_is_name_byte(byte))
			return 0;
	}
	if (place < CW_NAME_BYTES)
		answer->key.name[place] = byte;
	return 1;
}

/* False: no name that a rule can have. Of one that is longer than a key, its end is enough: such a rule is a wildcard. */
CW_BODY int cw_answer_name(struct cw_answer *answer)
{
	__u32 end, length;

	if (!answer)
		return 0;
	end = cw_answer_skip(answer, CW_ANSWER_HEAD, 0);
	length = end - CW_ANSWER_HEAD - 2;
	/* Of the root's, it is less than nothing. */
	if (!end || length > CW_ANSWER_TEXT)
		return 0;
	answer->name_length = length;
	answer->left = cw_answer_byte(answer, CW_ANSWER_HEAD);
	answer->at = end;
	for (__u32 i = 0; i < CW_ANSWER_TEXT; i++) {
		if (i >= length)
			break;
		if (!cw_answer_turn(answer, i))
			return 0;
	}
	if (length < CW_NAME_BYTES)
		answer->key.name[length++] = 0;
	else
		length = CW_NAME_BYTES;
	answer->key.prefix_length = 32 + 8 * length;
	return 1;
}

/* A response to one question, and its name. False: something else, or malformed. */
CW_BODY int cw_answer_question(struct cw_answer *answer)
{
	__u32 at;

	if (!answer || answer->length < CW_ANSWER_HEAD || answer->length > CW_ANSWER_MOST)
		return 0;
	answer->found = 0;
	answer->cut = 0;
	answer->records = cw_answer_word(answer, 6);
	if ((cw_answer_word(answer, 2) & CW_ANSWER_FLAGS) != CW_ANSWER_GOOD || cw_answer_word(answer, 4) != 1 ||
	    !answer->records || !cw_answer_name(answer))
		return 0;
	at = answer->at;
	if (at + 4 > answer->length || cw_answer_word(answer, at + 2) != CW_DNS_IN)
		return 0;
	answer->at = at + 4;
	return 1;
}

static inline __u32 cw_answer_seconds(const struct cw_answer *answer, __u32 at)
{
	__u32 seconds = cw_answer_word(answer, at) << 16 | cw_answer_word(answer, at + 2);

	/* With the highest bit it is none (RFC 2181, section 8). */
	if (seconds < CW_TTL_LEAST || seconds >> 31)
		seconds = CW_TTL_LEAST;
	if (seconds > CW_TTL_MOST)
		seconds = CW_TTL_MOST;
	return seconds + CW_TTL_GRACE;
}

static inline void cw_answer_add(struct cw_answer *answer, __u32 data, __u32 bytes, __u32 seconds)
{
	struct cw_answer_address *address;

	if (answer->found >= CW_ANSWER_ADDRESSES) {
		answer->cut = 1;
		return;
	}
	address = &answer->addresses[answer->found & (CW_ANSWER_ADDRESSES - 1)];
	answer->found++;
	address->seconds = seconds;
	if (bytes == 4) {
		__builtin_memset(address->address, 0, 10);
		address->address[10] = 0xff;
		address->address[11] = 0xff;
		__builtin_memcpy(address->address + 12, &answer->message[data & CW_ANSWER_MASK], 4);
	} else {
		__builtin_memcpy(address->address, &answer->message[data & CW_ANSWER_MASK], 16);
	}
}

/* The next record of the answer section. False: malformed. */
CW_BODY int cw_answer_record(struct cw_answer *answer)
{
	__u32 at, data, type, bytes;

	if (!answer)
		return 0;
	at = cw_answer_skip(answer, answer->at, 1);
	data = at + CW_ANSWER_FIXED;
	if (!at || data > answer->length)
		return 0;
	type = cw_answer_word(answer, at);
	bytes = cw_answer_word(answer, at + 8);
	if (data + bytes > answer->length)
		return 0;
	answer->at = data + bytes;
	if (cw_answer_word(answer, at + 2) != CW_DNS_IN || (type != CW_DNS_A && type != CW_DNS_AAAA))
		return 1;
	if (bytes != (type == CW_DNS_A ? 4 : 16))
		return 0;
	cw_answer_add(answer, data, bytes, cw_answer_seconds(answer, at + 4));
	return 1;
}

/* Addresses of the response whose question was read. False: malformed. */
CW_BODY int cw_answer_addresses(struct cw_answer *answer)
{
	__u32 i;

	if (!answer)
		return 0;
	for (i = 0; i < CW_ANSWER_RECORDS; i++) {
		if (i >= answer->records)
			break;
		if (!cw_answer_record(answer))
			return 0;
	}
	if (i < answer->records)
		answer->cut = 1;
	return 1;
}
