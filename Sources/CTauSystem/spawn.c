#define _GNU_SOURCE
#include "CTauSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// The child borrows the parent's memory (CLONE_VM) until it executes its program, so that starting one from a large
// server costs no copy of page tables. Until then it may only make system calls: a C library wrapper such as setuid()
// would act on "all threads of the process", and those are the server's.

enum {
    STACK_BYTES = 32 * 1024,
    SIGNAL_COUNT = 64,
    KERNEL_SIGNAL_SET_BYTES = 8,
    // Descriptors are first moved above everything that they may have to become.
    SCRATCH_DESCRIPTOR = 64,
};

struct child {
    const struct tau_spawn_request *request;
    struct tau_spawn_failure *failure;
};

// The kernel's struct sigaction; all zero it means "default action".
struct kernel_signal_action {
    unsigned long words[4];
};

#define STEP(name, call)                                       \
    do {                                                       \
        if ((call) < 0) {                                      \
            failure->step = (name);                            \
            failure->error = errno;                            \
            return -1;                                         \
        }                                                      \
    } while (0)

static int reset_signals(struct tau_spawn_failure *failure) {
    struct kernel_signal_action default_action = {{0}};
    for (long number = 1; number <= SIGNAL_COUNT; number++) {
        if (number == SIGKILL || number == SIGSTOP) continue;
        STEP("rt_sigaction",
             syscall(SYS_rt_sigaction, number, &default_action, NULL, (size_t)KERNEL_SIGNAL_SET_BYTES));
    }
    uint64_t none = 0;
    STEP("rt_sigprocmask", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, (size_t)KERNEL_SIGNAL_SET_BYTES));
    return 0;
}

static int arrange_descriptors(const struct tau_spawn_request *request, struct tau_spawn_failure *failure) {
    long moved[3 + TAU_SPAWN_MAX_INHERITED];
    unsigned count = 3 + request->inherited_count;
    long null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY, 0);
    STEP("open /dev/null", null);
    for (unsigned index = 0; index < count; index++) {
        long source = index == 0 ? null : index < 3 ? request->output : request->inherited[index - 3];
        moved[index] = syscall(SYS_fcntl, source, F_DUPFD, SCRATCH_DESCRIPTOR);
        STEP("fcntl F_DUPFD", moved[index]);
    }
    for (unsigned index = 0; index < count; index++) STEP("dup3", syscall(SYS_dup3, moved[index], index, 0));
    STEP("close_range", syscall(SYS_close_range, count, ~0U, 0));
    return 0;
}

static int bind_directory(const struct tau_spawn_request *request, struct tau_spawn_failure *failure) {
    if (request->bind_directory < 0) return 0;
    // A descriptor stays in the old mount namespace, from which the new one may not bind; the current directory is
    // carried over by unshare, so the way goes through it.
    STEP("fchdir", syscall(SYS_fchdir, request->bind_directory));
    STEP("unshare", syscall(SYS_unshare, CLONE_NEWNS));
    STEP("mount private", syscall(SYS_mount, NULL, "/", NULL, (unsigned long)(MS_REC | MS_PRIVATE), NULL));
    STEP("mount bind", syscall(SYS_mount, ".", request->bind_target, NULL, (unsigned long)MS_BIND, NULL));
    return 0;
}

static int change_directory(const struct tau_spawn_request *request, struct tau_spawn_failure *failure) {
    if (request->directory < 0)
        STEP("chdir", syscall(SYS_chdir, "/"));
    else
        STEP("fchdir", syscall(SYS_fchdir, request->directory));
    return 0;
}

static int limit(int resource, uint64_t soft, uint64_t hard, struct tau_spawn_failure *failure) {
    struct rlimit64 value = {.rlim_cur = soft, .rlim_max = hard};
    STEP("prlimit64", syscall(SYS_prlimit64, 0, resource, &value, NULL));
    return 0;
}

static int apply_limits(const struct tau_spawn_request *request, struct tau_spawn_failure *failure) {
    const struct {
        int resource;
        uint64_t value;
    } limits[] = {
        {RLIMIT_NOFILE, request->max_open_files},
        {RLIMIT_FSIZE, request->max_file_bytes},
        {RLIMIT_MEMLOCK, request->max_locked_bytes},
        {RLIMIT_NPROC, request->max_processes},
        {RLIMIT_DATA, request->max_data_bytes},
    };
    for (unsigned index = 0; index < sizeof limits / sizeof limits[0]; index++) {
        uint64_t value = limits[index].value;
        if (value != UINT64_MAX && limit(limits[index].resource, value, value, failure) < 0) return -1;
    }
    if (limit(RLIMIT_CORE, 0, 0, failure) < 0) return -1;
    uint64_t seconds = request->max_cpu_seconds;
    // At the soft limit comes SIGXCPU, which a program may catch; at the hard one SIGKILL.
    if (seconds != UINT64_MAX && limit(RLIMIT_CPU, seconds, seconds + 1, failure) < 0) return -1;
    return 0;
}

static int drop_privileges(const struct tau_spawn_request *request, struct tau_spawn_failure *failure) {
    if (request->drops_privileges) {
        STEP("setgroups", syscall(SYS_setgroups, 0, NULL));
        STEP("setresgid", syscall(SYS_setresgid, request->group, request->group, request->group));
        // The kernel also makes the shared memory undumpable here, so no process of that user can trace the child into
        // the server's memory before it executes.
        STEP("setresuid", syscall(SYS_setresuid, request->user, request->user, request->user));
    }
    STEP("prctl PR_SET_NO_NEW_PRIVS", syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    return 0;
}

static int prepare_and_execute(const struct child *child) {
    const struct tau_spawn_request *request = child->request;
    struct tau_spawn_failure *failure = child->failure;
    STEP("setsid", syscall(SYS_setsid));
    syscall(SYS_umask, 022);
    if (reset_signals(failure) < 0) return -1;
    // Before the descriptors are arranged, because that closes the directories'.
    if (bind_directory(request, failure) < 0) return -1;
    if (change_directory(request, failure) < 0) return -1;
    if (arrange_descriptors(request, failure) < 0) return -1;
    if (apply_limits(request, failure) < 0) return -1;
    if (drop_privileges(request, failure) < 0) return -1;
    STEP("execve", syscall(SYS_execve, request->executable, request->arguments, request->environment));
    return 0;
}

static int child_main(void *argument) {
    prepare_and_execute(argument);
    syscall(SYS_exit_group, 127);
    return 127;
}

// ThreadSanitizer takes the C library's clone for a fork, and would prepare the memory that both share for a child.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLONE_IS_REPLACED 1
#endif
#endif
#ifndef CLONE_IS_REPLACED
#define CLONE_IS_REPLACED 0
#endif

// clone3 with a stack of the child's own, for what clone cannot do: a child that begins in a control group (-1 for none).
// The C library has no wrapper: in the child it must not return through the frames of the parent.
static long clone_raw(struct child *child, char *stack, int *pidfd, int group_directory) {
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (group_directory >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = STACK_BYTES,
        .cgroup = group_directory >= 0 ? (uint64_t)group_directory : 0,
    };
    long result;
#if defined(__x86_64__)
    register int (*body)(void *) __asm__("r12") = child_main;
    register void *argument __asm__("r13") = child;
    __asm__ volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "xor %%ebp, %%ebp\n\t"
        "mov %%r13, %%rdi\n\t"
        "call *%%r12\n\t"
        "hlt\n"
        "1:"
        : "=a"(result)
        : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof arguments), "r"(body), "r"(argument)
        : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long first __asm__("x0") = (long)&arguments;
    register long second __asm__("x1") = sizeof arguments;
    register int (*body)(void *) __asm__("x19") = child_main;
    register void *argument __asm__("x20") = child;
    __asm__ volatile(
        "svc #0\n\t"
        "cbnz x0, 1f\n\t"
        "mov x29, xzr\n\t"
        "mov x0, x20\n\t"
        "blr x19\n\t"
        "brk #0\n"
        "1:"
        : "+r"(first)
        : "r"(number), "r"(second), "r"(body), "r"(argument)
        : "memory", "cc");
    result = first;
#else
    result = -ENOSYS;
#endif
    if (result >= 0) return result;
    errno = (int)-result;
    return -1;
}

pid_t tau_spawn(const struct tau_spawn_request *request, int *pidfd, struct tau_spawn_failure *failure) {
    _Alignas(16) char stack[STACK_BYTES];
    struct child child = {.request = request, .failure = failure};
    failure->step = NULL;
    failure->error = 0;
    // A handler of the server's that ran in the child would run on the server's memory. The raw call also blocks the
    // two signals that the C library keeps for itself.
    uint64_t all = ~UINT64_C(0), previous = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &previous, (size_t)KERNEL_SIGNAL_SET_BYTES);
    int process =
        request->group_directory >= 0 || CLONE_IS_REPLACED
            ? (int)clone_raw(&child, stack, pidfd, request->group_directory)
            : clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, pidfd);
    int error = errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &previous, NULL, (size_t)KERNEL_SIGNAL_SET_BYTES);
    if (process < 0) {
        failure->step = "clone";
        failure->error = error;
        return -1;
    }
    if (failure->step == NULL) return process;
    // The child has ended without executing anything: nobody else will reap it.
    while (syscall(SYS_wait4, process, NULL, 0, NULL) < 0 && errno == EINTR) continue;
    close(*pidfd);
    return -1;
}
