// Stands between a process and the kernel, and remembers what was written but never synced. At a chosen call it takes the
// power away: of each unsynced write everything, a part, or nothing stays, whichever comes; unsynced names go; then the
// process dies. A sync that is told to fail says so, and what it should have synced is lost for good, as with a real
// kernel, which calls such pages clean.
//
// POWER_CUT_AT: the call at which it happens, from 1. POWER_CUT_SEED: what stays. POWER_CUT_ZEROS=1: files keep the length
// that they would have had. SYNC_FAILS_AT: the sync that fails, from 1. Only files below POWER_CUT_DIRECTORY count.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct change {
    dev_t device;
    ino_t file;
    int fd; // A descriptor of our own.
    off_t offset, size_before;
    size_t old_count, new_count;
    char *old_bytes, *new_bytes;
    int doomed;
    struct change *next;
};

struct name {
    ino_t directory;
    int fd;
    char text[256], before[256]; // With `before`, a rename, else a new name.
    struct name *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct change *changes; // The latest first.
static struct name *names;
static long calls, syncs;
static unsigned long long random_state;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static unsigned long long next_random(void) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return random_state >> 33;
}

static int counts(int fd) {
    const char *directory = getenv("POWER_CUT_DIRECTORY");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!directory || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, directory, strlen(directory)) == 0;
}

static struct change *reversed(struct change *list) {
    struct change *result = NULL;
    while (list) {
        struct change *next = list->next;
        list->next = result;
        result = list;
        list = next;
    }
    return result;
}

static void cut(void) {
    random_state = (unsigned long long)number("POWER_CUT_SEED") * 2 + 1;
    int zeros = number("POWER_CUT_ZEROS");
    for (struct change *change = changes; change; change = change->next) {
        syscall(SYS_pwrite64, change->fd, change->old_bytes, change->old_count, change->offset);
        syscall(SYS_ftruncate, change->fd, change->size_before);
    }
    for (struct change *change = reversed(changes); change; change = change->next) {
        struct stat status;
        fstat(change->fd, &status);
        off_t end = change->offset + (off_t)change->new_count;
        size_t kept = 0;
        if (!change->doomed) {
            switch (next_random() % 3) {
            case 0: break;
            case 1: kept = change->new_count; break;
            default: kept = next_random() % (change->new_count + 1);
            }
        }
        if (change->new_bytes) {
            syscall(SYS_pwrite64, change->fd, change->new_bytes, kept, change->offset);
            if (zeros && end > status.st_size) syscall(SYS_ftruncate, change->fd, end);
        } else if (kept) {
            syscall(SYS_ftruncate, change->fd, change->offset);
        }
    }
    for (struct name *name = names; name; name = name->next) {
        if (name->before[0]) syscall(SYS_renameat, name->fd, name->text, name->fd, name->before);
        else syscall(SYS_unlinkat, name->fd, name->text, 0);
    }
    kill(getpid(), SIGKILL);
}

static void may_cut(void) {
    if (++calls == number("POWER_CUT_AT")) cut();
}

static void remember(int fd, const void *bytes, size_t count, off_t offset) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    struct change *change = calloc(1, sizeof *change);
    change->device = status.st_dev;
    change->file = status.st_ino;
    change->fd = fcntl(fd, F_DUPFD_CLOEXEC, 500);
    change->offset = offset;
    change->size_before = status.st_size;
    size_t old_count = bytes ? count : (size_t)(status.st_size > offset ? status.st_size - offset : 0);
    change->old_bytes = malloc(old_count + 1);
    ssize_t had = syscall(SYS_pread64, fd, change->old_bytes, old_count, offset);
    change->old_count = had > 0 ? (size_t)had : 0;
    change->new_count = bytes ? count : 1;
    if (bytes) {
        change->new_bytes = malloc(count + 1);
        memcpy(change->new_bytes, bytes, count);
        // What is written again is dirty again.
        for (struct change *other = changes; other; other = other->next)
            if (other->doomed && other->file == change->file && other->offset >= offset
                && other->offset + other->new_count <= offset + count)
                other->doomed = 0;
    }
    change->next = changes;
    changes = change;
}

static void settle(int fd, int fails) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    struct change **place = &changes;
    while (*place) {
        struct change *change = *place;
        if (change->file != status.st_ino || change->device != status.st_dev || change->doomed) {
            place = &change->next;
        } else if (fails) {
            change->doomed = 1;
            place = &change->next;
        } else {
            *place = change->next;
            syscall(SYS_close, change->fd);
            free(change->old_bytes);
            free(change->new_bytes);
            free(change);
        }
    }
    if (fails) return;
    for (struct name **name = &names; *name;)
        if ((*name)->directory == status.st_ino) *name = (*name)->next;
        else name = &(*name)->next;
}

static void remember_name(int directory, const char *text, const char *before) {
    struct stat status;
    if (fstat(directory, &status) != 0) return;
    struct name *name = calloc(1, sizeof *name);
    name->directory = status.st_ino;
    name->fd = fcntl(directory, F_DUPFD_CLOEXEC, 500);
    snprintf(name->text, sizeof name->text, "%s", text);
    snprintf(name->before, sizeof name->before, "%s", before);
    name->next = names;
    names = name;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (!counts(fd)) return syscall(SYS_pwrite64, fd, bytes, count, offset);
    pthread_mutex_lock(&lock);
    remember(fd, bytes, count, offset);
    ssize_t result = syscall(SYS_pwrite64, fd, bytes, count, offset);
    may_cut();
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return pwrite(fd, bytes, count, offset); }

int ftruncate(int fd, off_t size) {
    if (!counts(fd)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    remember(fd, NULL, 0, size);
    int result = syscall(SYS_ftruncate, fd, size);
    may_cut();
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int synced(int fd, long call) {
    if (!counts(fd)) return syscall(call, fd);
    pthread_mutex_lock(&lock);
    may_cut();
    int fails = ++syncs == number("SYNC_FAILS_AT");
    int result = fails ? -1 : syscall(call, fd);
    settle(fd, fails);
    pthread_mutex_unlock(&lock);
    if (fails) errno = EIO;
    return result;
}

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
int fsync(int fd) { return synced(fd, SYS_fsync); }

int openat(int directory, const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    int fd = syscall(SYS_openat, directory, path, flags, mode);
    if (fd >= 0 && (flags & O_EXCL) && counts(fd)) {
        pthread_mutex_lock(&lock);
        remember_name(directory, path, "");
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

int openat64(int directory, const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return openat(directory, path, flags, mode);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    int result = syscall(SYS_linkat, from, old, to, new, flags);
    pthread_mutex_lock(&lock);
    if (result == 0) remember_name(to, new, "");
    pthread_mutex_unlock(&lock);
    return result;
}

int renameat(int from, const char *old, int to, const char *new) {
    int result = syscall(SYS_renameat, from, old, to, new);
    pthread_mutex_lock(&lock);
    if (result == 0) remember_name(to, new, old);
    pthread_mutex_unlock(&lock);
    return result;
}
