#define _GNU_SOURCE
#include "CTauSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/quota.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

int tau_openat2(int directory, const char *path, int flags, unsigned mode, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)(unsigned)flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int tau_exchange(int directory, const char *first, const char *second) {
    return renameat2(directory, first, directory, second, RENAME_EXCHANGE);
}

int tau_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

// The C library has no function for quotactl_fd(2), which is there since Linux 5.14.
static int project_quota(int directory, int command, uint32_t project, void *argument) {
    return (int)syscall(SYS_quotactl_fd, directory, QCMD(command, PRJQUOTA), project, argument);
}

int tau_has_project_quota(int directory) {
    struct fs_quota_stat status = {0};
    if (project_quota(directory, Q_XGETQSTAT, 0, &status) < 0) return 0;
    return (status.qs_flags & FS_QUOTA_PDQ_ACCT) != 0 && (status.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

int tau_set_project(int directory, uint32_t project) {
    struct fsxattr attributes;
    if (ioctl(directory, FS_IOC_FSGETXATTR, &attributes) < 0) return -1;
    if (attributes.fsx_projid == project && (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0) return 0;
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    return ioctl(directory, FS_IOC_FSSETXATTR, &attributes);
}

// Bytes are bounded in units of a KiB, whatever the file system's blocks are (quotactl(2)).
static const uint64_t quota_unit = 1024;

int tau_set_project_limits(int directory, uint32_t project, uint64_t max_bytes, uint64_t max_files) {
    struct if_dqblk limits = {
        .dqb_bhardlimit = max_bytes / quota_unit, .dqb_ihardlimit = max_files, .dqb_valid = QIF_LIMITS};
    return project_quota(directory, Q_SETQUOTA, project, &limits);
}

int tau_project_usage(
    int directory, uint32_t project, uint64_t *bytes, uint64_t *files, uint64_t *max_bytes, uint64_t *max_files) {
    struct if_dqblk usage = {0};
    if (project_quota(directory, Q_GETQUOTA, project, &usage) < 0) return -1;
    *bytes = usage.dqb_curspace;
    *files = usage.dqb_curinodes;
    *max_bytes = usage.dqb_bhardlimit * quota_unit;
    *max_files = usage.dqb_ihardlimit;
    return 0;
}

pid_t tau_thread_id(void) { return gettid(); }

int tau_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int tau_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC); }

int tau_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int tau_start_thread(void *(*body)(void *), void *context, size_t stack_bytes) {
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (error == 0) error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (error == 0) error = pthread_create(&thread, &attributes, body, context);
    pthread_attr_destroy(&attributes);
    return error;
}

int tau_memory_file(const char *name, const void *bytes, size_t count) {
    int descriptor = memfd_create(name, MFD_CLOEXEC);
    if (descriptor < 0) return -1;
    ssize_t written = pwrite(descriptor, bytes, count, 0);
    if (written == (ssize_t)count) return descriptor;
    int error = written < 0 ? errno : EIO;
    close(descriptor);
    errno = error;
    return -1;
}

const char *tau_error_text(int code) {
    const char *text = strerrordesc_np(code);
    return text ? text : "Unknown error";
}

ssize_t tau_find(const void *haystack, size_t haystack_count, const void *needle, size_t needle_count) {
    const char *found = memmem(haystack, haystack_count, needle, needle_count);
    return found ? found - (const char *)haystack : -1;
}

uint32_t tau_checksum(const void *bytes, size_t count) { return (uint32_t)crc32_z(0, bytes, count); }

size_t tau_gzip_bound(size_t count) { return compressBound(count) + 18; }

size_t tau_gzip(const void *bytes, size_t count, void *output, size_t capacity) {
    z_stream stream = {0};
    // 15 bits of window, and 16 for the gzip format instead of zlib's own.
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    stream.next_in = (Bytef *)bytes;
    stream.avail_in = (uInt)count;
    stream.next_out = output;
    stream.avail_out = (uInt)capacity;
    int end = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return end == Z_STREAM_END ? stream.total_out : 0;
}
