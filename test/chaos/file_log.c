// SPDX-License-Identifier: Apache-2.0
//
// LD_PRELOAD: writes down, in the order in which they happen, what a process does to the files of one folder. What a power cut
// would have left of them is made from that (power_cut.ts). FILE_LOG: where to; FILE_LOG_FOLDER: of which folder.
//
// A record: kind (1 byte), length of the name (2), offset or size (8), length of the data (4), name, data; numbers little endian.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 'c', WRITE = 'w', TRUNCATE = 't', SYNC = 's', SYNC_FOLDER = 'd', UNLINK = 'u', RENAME = 'r' };

#define MOST_FILES 1024
#define LONGEST_NAME 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char names[MOST_FILES][LONGEST_NAME];
static int is_folder[MOST_FILES];
static int log_fd = -2;
static char folder[LONGEST_NAME];

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void fail(const char *what)
{
	fprintf(stderr, "file_log: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static ssize_t real_write(int fd, const void *data, size_t length)
{
	REAL(write);
	return real(fd, data, length);
}

static int logging(void)
{
	if (log_fd == -2) {
		const char *file = getenv("FILE_LOG"), *of = getenv("FILE_LOG_FOLDER");
		REAL(open);
		log_fd = file && of ? real(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
		if (file && of && (log_fd < 0 || strlen(of) >= sizeof(folder) - 2)) fail("cannot begin");
		if (of) snprintf(folder, sizeof(folder), "%s/", of);
	}
	return log_fd >= 0;
}

/* The name within the folder, "" for the folder itself; NULL: another file. */
static const char *within(const char *path)
{
	size_t length;
	if (!path || !logging()) return NULL;
	length = strlen(folder);
	if (strncmp(path, folder, length) == 0) return path + length;
	return strlen(path) == length - 1 && strncmp(path, folder, length - 1) == 0 ? "" : NULL;
}

static const char *name_of(int fd)
{
	return fd >= 0 && fd < MOST_FILES && names[fd][0] ? names[fd] : NULL;
}

static void record(char kind, const char *name, uint64_t number, const void *data, size_t length)
{
	uint16_t name_length = (uint16_t)strlen(name);
	uint32_t data_length = (uint32_t)length;
	char head[15];
	struct { const void *at; size_t length; } parts[] = {{head, sizeof(head)}, {name, name_length}, {data, length}};
	head[0] = kind;
	memcpy(head + 1, &name_length, 2);
	memcpy(head + 3, &number, 8);
	memcpy(head + 11, &data_length, 4);
	for (int i = 0; i < 3; i++) {
		if (parts[i].length && real_write(log_fd, parts[i].at, parts[i].length) != (ssize_t)parts[i].length) fail("cannot log");
	}
}

static int opened(int fd, const char *path, int flags, int existed)
{
	const char *name = within(path);
	if (fd < 0 || !name) return fd;
	if (fd >= MOST_FILES || strlen(name) >= LONGEST_NAME - 1) fail("too many files, or a name that is too long");
	/* "/" stands for the folder. */
	strcpy(names[fd], *name ? name : "/");
	is_folder[fd] = !*name;
	if (*name && (flags & O_CREAT) && !existed) record(CREATE, name, 0, "", 0);
	else if (*name && (flags & O_TRUNC)) record(TRUNCATE, name, 0, "", 0);
	return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
	struct stat found;
	int existed, fd;
	REAL(open);
	if (!within(path)) return real(path, flags, mode);
	pthread_mutex_lock(&lock);
	existed = stat(path, &found) == 0;
	fd = opened(real(path, flags, mode), path, flags, existed);
	pthread_mutex_unlock(&lock);
	return fd;
}

#define MODE(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(path, flags, mode); }

int close(int fd)
{
	int result;
	REAL(close);
	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < MOST_FILES) names[fd][0] = 0;
	result = real(fd);
	pthread_mutex_unlock(&lock);
	return result;
}

/* Runs what touches a file of the folder under the lock, so that the log has the order of the events. */
#define LOGGED(fd, call, on_success) \
	__extension__({ \
		const char *name_; \
		__typeof__(call) result_; \
		pthread_mutex_lock(&lock); \
		name_ = name_of(fd); \
		result_ = (call); \
		if (name_ && result_ >= 0) { on_success; } \
		pthread_mutex_unlock(&lock); \
		result_; \
	})

static ssize_t pwrite_any(int fd, const void *data, size_t length, off_t offset)
{
	REAL(pwrite);
	return LOGGED(fd, real(fd, data, length, offset), record(WRITE, name_, (uint64_t)offset, data, (size_t)result_));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite_any(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite_any(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length)
{
	if (fd == log_fd || !name_of(fd)) return real_write(fd, data, length);
	return LOGGED(fd, real_write(fd, data, length),
		record(WRITE, name_, (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)result_, data, (size_t)result_));
}

/* Neither SQLite nor the store writes so. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
	REAL(writev);
	if (name_of(fd)) fail("writev is not followed");
	return real(fd, parts, count);
}

static int truncate_fd(int fd, off_t size)
{
	REAL(ftruncate);
	return LOGGED(fd, real(fd, size), record(TRUNCATE, name_, (uint64_t)size, "", 0));
}

int ftruncate(int fd, off_t size) { return truncate_fd(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_fd(fd, size); }

int fsync(int fd)
{
	REAL(fsync);
	return LOGGED(fd, real(fd), record(is_folder[fd] ? SYNC_FOLDER : SYNC, name_, 0, "", 0));
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	return LOGGED(fd, real(fd), record(SYNC, name_, 0, "", 0));
}

int unlink(const char *path)
{
	const char *name = within(path);
	int result;
	REAL(unlink);
	if (!name) return real(path);
	pthread_mutex_lock(&lock);
	result = real(path);
	if (result == 0) record(UNLINK, name, 0, "", 0);
	pthread_mutex_unlock(&lock);
	return result;
}

int rename(const char *from, const char *to)
{
	const char *old_name = within(from), *new_name = within(to);
	int result;
	REAL(rename);
	if (!old_name || !new_name) return real(from, to);
	pthread_mutex_lock(&lock);
	result = real(from, to);
	if (result == 0) record(RENAME, old_name, 0, new_name, strlen(new_name));
	pthread_mutex_unlock(&lock);
	return result;
}
