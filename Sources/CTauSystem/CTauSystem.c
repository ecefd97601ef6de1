#define _GNU_SOURCE
#include "CTauSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
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
