// Attempts to get out of a sandbox, one for each name. What succeeds says BREACH; everything else says why not.
//
// The tests run each attempt outside of the sandbox first, where many succeed, so that a refusal inside means something.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int breach_if(int condition, const char *what) {
    if (condition) printf("BREACH %s\n", what);
    else printf("held: %s: %s\n", what, strerror(errno));
    return 0;
}

// A system call that must fail.
#define CALL(...) breach_if(syscall(__VA_ARGS__) >= 0, #__VA_ARGS__)

static struct sockaddr_un unix_address(const char *name, int is_abstract, socklen_t *length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + is_abstract, name, sizeof address.sun_path - 2);
    *length = offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(name);
    return address;
}

static int connect_unix(const char *name, int is_abstract) {
    socklen_t length;
    struct sockaddr_un address = unix_address(name, is_abstract, &length);
    int number = socket(AF_UNIX, SOCK_STREAM, 0);
    return breach_if(connect(number, (struct sockaddr *)&address, length) == 0, "connect");
}

static void serve_unix(const char *name, int is_abstract) {
    socklen_t length;
    struct sockaddr_un address = unix_address(name, is_abstract, &length);
    int number = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(number, (struct sockaddr *)&address, length) < 0 || listen(number, 100) < 0) exit(1);
    if (!is_abstract) chmod(name, 0777);
}

// What attacks aim at: sockets, shared memory, and a process with a secret in its environment.
static int victim(const char *path, const char *abstract) {
    serve_unix(path, 0);
    serve_unix(abstract, 1);
    int number = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(number, (struct sockaddr *)&address, length) < 0 || listen(number, 100) < 0) return 1;
    getsockname(number, (struct sockaddr *)&address, &length);
    int memory = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
    printf("%d %d\n", ntohs(address.sin_port), memory);
    fflush(stdout);
    // Until whoever started it goes away.
    char byte;
    while (read(3, &byte, 1) > 0) {}
    shmctl(memory, IPC_RMID, NULL);
    return 0;
}

static int handle(void) {
    struct {
        struct file_handle head;
        uint32_t inode, generation;
    } root = {.head = {.handle_bytes = 8, .handle_type = 1}, .inode = 2};
    int mount = open(".", O_RDONLY);
    return breach_if(syscall(SYS_open_by_handle_at, mount, &root, O_RDONLY) >= 0, "open_by_handle_at");
}

static int is_set_id(const char *name) {
    struct stat status;
    return stat(name, &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID)) != 0;
}

static int set_id_files(void) {
    mknod("set-id-1", S_IFREG | 04755, 0);
    struct open_how how = {.flags = O_CREAT | O_WRONLY, .mode = 04755};
    int number = syscall(SYS_openat2, AT_FDCWD, "set-id-2", &how, sizeof how);
    if (number >= 0) fchmod(number, 02755);
    number = open(".", O_TMPFILE | O_WRONLY, 04755);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    linkat(AT_FDCWD, path, AT_FDCWD, "set-id-3", AT_SYMLINK_FOLLOW);
    open("set-id-4", O_CREAT | O_WRONLY, 0755);
    syscall(452, AT_FDCWD, "set-id-4", 04755, 0);  // fchmodat2
    creat("set-id-5", 06755);
    int found = is_set_id("set-id-1") || is_set_id("set-id-2") || is_set_id("set-id-3") || is_set_id("set-id-4") ||
                is_set_id("set-id-5");
    return breach_if(found, "set-id file");
}

static int open_set_id(void) {
    open("set-id-6", O_CREAT | O_WRONLY, 04755);
    return breach_if(is_set_id("set-id-6"), "open");
}

static int read_memory(pid_t process) {
    char name[64], bytes[16];
    snprintf(name, sizeof name, "/proc/%d/maps", process);
    FILE *maps = fopen(name, "r");
    unsigned long start = 0x400000;
    if (maps != NULL && fscanf(maps, "%lx", &start) != 1) start = 0x400000;
    struct iovec here = {bytes, sizeof bytes}, there = {(void *)start, sizeof bytes};
    return breach_if(process_vm_readv(process, &here, 1, &there, 1, 0) > 0, "process_vm_readv");
}

static int trace(pid_t process) {
    int result = ptrace(PTRACE_SEIZE, process, 0, 0);
    if (result == 0) ptrace(PTRACE_DETACH, process, 0, 0);
    return breach_if(result == 0, "ptrace");
}

static int trace_child(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    trace(child);
    kill(child, SIGKILL);
    return waitpid(child, NULL, __WALL) < 0;
}

static int priority(void) {
    struct sched_param parameter = {.sched_priority = 50};
    breach_if(sched_setscheduler(0, SCHED_FIFO, &parameter) == 0, "SCHED_FIFO");
    return breach_if(setpriority(PRIO_PROCESS, 0, -20) == 0, "nice -20");
}

static int children(int wanted) {
    int count = 0;
    int ends[2];
    if (pipe(ends) < 0) return 1;
    for (; count < wanted; count++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            char byte;
            close(ends[1]);
            if (read(ends[0], &byte, 1) < 0) _exit(1);
            _exit(0);
        }
    }
    breach_if(count == wanted, "fork");
    close(ends[1]);
    while (wait(NULL) > 0) {}
    return 0;
}

static int open_files(int wanted) {
    int count = 0;
    while (count < wanted && open("/dev/null", O_RDONLY) >= 0) count++;
    return breach_if(count == wanted, "open files");
}

static int raise_limit(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    return breach_if(setrlimit(RLIMIT_NOFILE, &limit) == 0 && open_files(70000) == 0, "RLIMIT_NOFILE");
}

static int memory(size_t megabytes) {
    for (size_t index = 0; index < megabytes; index++) {
        // The compiler must not see that nobody reads it.
        volatile char *piece = malloc(1 << 20);
        if (piece == NULL) return breach_if(0, "malloc");
        for (size_t page = 0; page < 1 << 20; page += 4096) piece[page] = 1;
    }
    return breach_if(1, "memory");
}

static int clone3_user(void) {
    struct {
        uint64_t flags, others[10];
    } arguments = {.flags = CLONE_NEWUSER};
    long child = syscall(SYS_clone3, &arguments, 64);
    if (child == 0) _exit(0);
    return breach_if(child > 0, "clone3");
}

static int clone_namespaces(int flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return breach_if(child > 0, "clone");
}

static int bpf(void) {
    union {
        struct {
            uint32_t type, key, value, entries;
        };
        char bytes[128];
    } map = {.type = 2, .key = 4, .value = 4, .entries = 1};
    return CALL(SYS_bpf, 0, &map, sizeof map);
}

static int perf(void) {
    char attributes[128] = {0};
    *(uint32_t *)(attributes + 4) = sizeof attributes;
    return CALL(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}

static int io_uring(void) {
    char parameters[256] = {0};
    return CALL(SYS_io_uring_setup, 4, parameters);
}

static int inject(unsigned long command) {
    int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    int unlock = 0;
    ioctl(terminal, TIOCSPTLCK, &unlock);
    int other = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    setsid();
    ioctl(other, TIOCSCTTY, 0);
    return breach_if(ioctl(other, command, "x") == 0, "TIOCSTI");
}

static int capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    syscall(SYS_capget, &head, data);
    return breach_if(data[0].effective | data[1].effective | data[0].permitted | data[1].permitted, "capabilities");
}

static int set_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return breach_if(clock_settime(CLOCK_REALTIME, &now) == 0, "clock_settime");
}

static int kernel_log(void) {
    char bytes[64];
    return CALL(SYS_syslog, 3, bytes, sizeof bytes);
}

static int other_instruction_sets(int is_x32) {
#ifdef __x86_64__
    if (is_x32) return breach_if(syscall(0x40000000 | SYS_getpid) > 0, "x32");
    long result = 20;  // getpid of the 32 bit table
    __asm__ volatile("int $0x80" : "+a"(result)::"memory", "r8", "r9", "r10", "r11");
    return breach_if(result > 0, "int 0x80");
#else
    (void)is_x32;
    return breach_if(0, "not on this machine");
#endif
}

static int join_namespace(const char *process) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
    int number = open(path, O_RDONLY);
    return breach_if(number >= 0 && setns(number, 0) == 0, "setns");
}

// A directory and a link that change places as fast as the kernel can, until it is ended.
static int swap(const char *first, const char *second) {
    printf("swapping\n");
    fflush(stdout);
    while (syscall(SYS_getpid) > 0) syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, 2);
    return 0;
}

static int set_groups(void) {
    gid_t group = 0;
    return CALL(SYS_setgroups, 1, &group);
}

static int userfault(void) { return CALL(SYS_userfaultfd, 1); }

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *name = count > 1 ? arguments[1] : "";
    const char *first = count > 2 ? arguments[2] : "";
    const char *second = count > 3 ? arguments[3] : "";
    const char *third = count > 4 ? arguments[4] : "0";
#define IS(text) if (strcmp(name, text) == 0)
    IS("victim") return victim(first, second);
    IS("connect") return connect_unix(first, 0);
    IS("connect-abstract") return connect_unix(first, 1);
    IS("socket") return breach_if(socket(atoi(first), atoi(second), atoi(third)) >= 0, "socket");
    IS("shared-memory") return breach_if(shmat(atoi(first), NULL, 0) != (void *)-1, "shmat");
    IS("handle") return handle();
    IS("block-device") return breach_if(mknod("disk", S_IFBLK | 0600, makedev(7, 0)) == 0, "mknod");
    IS("set-id-files") return set_id_files();
    IS("open-set-id") return open_set_id();
    IS("read-memory") return read_memory(atoi(first));
    IS("signal") return breach_if(kill(atoi(first), atoi(second)) == 0, "kill");
    IS("trace") return trace(atoi(first));
    IS("trace-child") return trace_child();
    IS("priority") return priority();
    IS("children") return children(atoi(first));
    IS("open-files") return open_files(atoi(first));
    IS("raise-limit") return raise_limit();
    IS("memory") return memory(atoi(first));
    IS("mount") return breach_if(mount("x", "/tmp", "tmpfs", 0, NULL) == 0, "mount");
    IS("remount") return breach_if(mount("x", "/usr", "", MS_REMOUNT | MS_BIND, NULL) == 0, "remount");
    IS("umount") return breach_if(umount2(first, MNT_DETACH) == 0, "umount");
    IS("fsopen") return CALL(SYS_fsopen, "tmpfs", 0);
    IS("open-tree") return CALL(SYS_open_tree, AT_FDCWD, "/usr", 1);
    IS("pivot-root") return CALL(SYS_pivot_root, ".", ".");
    IS("chroot") return breach_if(chroot(".") == 0, "chroot");
    IS("join-namespace") return join_namespace(first);
    IS("unshare") return breach_if(unshare(atoi(first)) == 0, "unshare");
    IS("clone") return clone_namespaces(atoi(first));
    IS("clone3") return clone3_user();
    IS("bpf") return bpf();
    IS("perf") return perf();
    IS("userfaultfd") return userfault();
    IS("io-uring") return io_uring();
    IS("keyring") return CALL(SYS_add_key, "user", "tau-probe", "x", 1, -4);
    IS("inject") return inject(TIOCSTI);
    IS("inject-high") return inject(TIOCSTI | 0x100000000ul);
    IS("become-root") return breach_if(setuid(0) == 0, "setuid");
    IS("set-groups") return set_groups();
    IS("capabilities") return capabilities();
    IS("io-privilege") return CALL(SYS_iopl, 3);
    IS("set-clock") return set_clock();
    IS("host-name") return breach_if(sethostname("x", 1) == 0, "sethostname");
    IS("kernel-log") return kernel_log();
    IS("swap-on") return CALL(SYS_swapon, "/dev/null", 0);
    IS("x32") return other_instruction_sets(1);
    IS("int80") return other_instruction_sets(0);
    IS("swap") return swap(first, second);
    fprintf(stderr, "unknown attempt: %s\n", name);
    return 2;
}
