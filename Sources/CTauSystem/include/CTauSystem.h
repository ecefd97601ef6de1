#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Calls that the C library has no wrapper for, or that Swift cannot make safely.
/// Like the C library's own, they answer -1 and set errno unless they say otherwise.

/// openat2(2) with the given `RESOLVE_…` bits.
int tau_openat2(int directory, const char *path, int flags, unsigned mode, uint64_t resolve);

/// Whether the file system counts and bounds what projects use: 1 or 0.
int tau_has_project_quota(int directory);

/// Makes the directory, and what is made in it from now on, belong to a project. 0, or -1 with errno.
int tau_set_project(int directory, uint32_t project);

/// Bounds what a project uses. 0, or -1 with errno.
int tau_set_project_limits(int directory, uint32_t project, uint64_t max_bytes, uint64_t max_files);

/// What a project uses, and the bounds in force. 0, or -1 with errno.
int tau_project_usage(
    int directory, uint32_t project, uint64_t *bytes, uint64_t *files, uint64_t *max_bytes, uint64_t *max_files);

/// Exchanges what two names in a directory stand for, in one step (renameat2(2)).
int tau_exchange(int directory, const char *first, const char *second);

/// A pidfd for a process of any parent.
int tau_pidfd_open(pid_t process);

/// The kernel's number of the calling thread.
pid_t tau_thread_id(void);

/// prctl(PR_SET_CHILD_SUBREAPER).
int tau_adopt_orphans(void);

/// A close-on-exec eventfd.
int tau_event_descriptor(void);

/// A close-on-exec pipe: the reading end, then the writing end.
int tau_pipe(int ends[2]);

/// Starts a detached thread. Answers 0 or an error code.
int tau_start_thread(void *(*body)(void *), void *context, size_t stack_bytes);

/// A close-on-exec memory file that holds `count` bytes and is about to be read from its start.
int tau_memory_file(const char *name, const void *bytes, size_t count);

/// A description of an error code that needs no freeing and is safe on all threads.
const char *tau_error_text(int code);

/// memmem(3): where `needle` first lies in `haystack`, or -1. Linear even for hostile texts.
ssize_t tau_find(const void *haystack, size_t haystack_count, const void *needle, size_t needle_count);

/// The CRC-32 of bytes (RFC 1952), as zlib computes it.
uint32_t tau_checksum(const void *bytes, size_t count);

/// Room that suffices for so many bytes in the gzip format.
size_t tau_gzip_bound(size_t count);

/// Writes bytes in the gzip format (RFC 1952); returns how many they are then, 0 where there is no room. Less than 4 GiB.
size_t tau_gzip(const void *bytes, size_t count, void *output, size_t capacity);

enum { TAU_SPAWN_MAX_INHERITED = 8 };

/// What a child is to be.
struct tau_spawn_request {
    const char *executable;
    /// NULL-terminated, the program's name first.
    char *const *arguments;
    /// NULL-terminated; nothing of the caller's own environment is added.
    char *const *environment;
    /// Becomes standard output and standard error; standard input is /dev/null.
    int output;
    /// Become descriptors 3, 4, … in this order; everything else is closed.
    int inherited[TAU_SPAWN_MAX_INHERITED];
    unsigned inherited_count;
    /// If not -1: a directory of control groups version 2 in which the child is born.
    int group_directory;
    /// If not -1, the child's working directory; otherwise that is "/".
    int directory;
    /// If not -1: a directory that is bound onto `bind_target` in a mount namespace of the child's own.
    int bind_directory;
    const char *bind_target;
    /// Whether to become `user` and `group`, with no further groups.
    int drops_privileges;
    uid_t user;
    gid_t group;
    /// These are UINT64_MAX where there is no limit.
    uint64_t max_open_files;
    uint64_t max_file_bytes;
    uint64_t max_locked_bytes;
    uint64_t max_cpu_seconds;
    uint64_t max_processes;
    /// Private memory that can be written, a process.
    uint64_t max_data_bytes;
};

/// Which call of the child failed and with which errno.
struct tau_spawn_failure {
    const char *step;
    int error;
};

/// Starts a child in a session and process group of its own. Answers its id and stores its pidfd; on failure answers -1
/// and stores which step failed. The caller's thread waits until the child has executed its program.
pid_t tau_spawn(const struct tau_spawn_request *request, int *pidfd, struct tau_spawn_failure *failure);
