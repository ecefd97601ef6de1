internal import CSeccomp
internal import Glibc
internal import TauCore
internal import TauSystem

/// What the kernel refuses to a command, whatever it runs: two seccomp programs, made by libseccomp for this machine.
///
/// The first refuses calls, and arguments of calls, that reach for other namespaces, kernel surface or privileges. The
/// second refuses every call that libseccomp does not know, so that a newer kernel adds nothing. The kernel applies
/// both and the stricter one decides. Calls of another instruction set (32 bit, x32) kill the process.
struct SystemCallFilter: Sendable {
    // In the format that bubblewrap takes: an array of the kernel's `struct sock_filter`.
    let refusals: [UInt8]
    let knownCalls: [UInt8]

    /// Throws `unavailable` if libseccomp cannot make them.
    init() throws(ToolFailure) {
        refusals = try Self.makeRefusals()
        knownCalls = try Self.makeKnownCalls()
    }

    // MARK: Refused calls

    /// Answered EPERM, whatever the arguments.
    private static let refused = [
        // Mounts and roots.
        "mount", "umount", "umount2", "pivot_root", "chroot", "mount_setattr", "move_mount", "open_tree", "fsopen",
        "fsconfig", "fsmount", "fspick", "swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "nfsservctl",
        // Namespaces.
        "unshare", "setns",
        // Other processes' memory and descriptors.
        "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "move_pages",
        "migrate_pages",
        // Kernel surface that has been a way to root.
        "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl",
        "add_key", "request_key", "fanotify_init", "lookup_dcookie", "modify_ldt", "vmsplice", "memfd_secret",
        // The machine itself.
        "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
        "query_module", "get_kernel_syms", "reboot", "syslog", "clock_settime", "clock_adjtime", "settimeofday",
        "stime", "adjtimex", "iopl", "ioperm", "sethostname", "setdomainname", "vhangup", "uselib", "sysfs", "ustat",
        "_sysctl",
        // Files by handle pass by every directory's rights (the "Shocker" escape).
        "name_to_handle_at", "open_by_handle_at",
    ]

    /// Answered ENOSYS, so that the C library falls back to calls whose arguments a filter can see.
    private static let unknown = ["clone3", "openat2"]

    private static func makeRefusals() throws(ToolFailure) -> [UInt8] {
        let filter = try Filter(otherwise: SCMP_ACT_ALLOW)
        try filter.configure()
        for name in refused { try filter.refuse(name, EPERM) }
        for name in unknown { try filter.refuse(name, ENOSYS) }
        // Namespaces by clone; the flags are the first argument on every supported machine.
        let namespaces = [
            CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
            CLONE_NEWTIME,
        ]
        for flag in namespaces { try filter.refuse("clone", EPERM, [.has(0, UInt64(flag))]) }
        // A set-user-id file that a command leaves would be run by somebody else one day.
        let modes: [(call: String, argument: UInt32)] = [
            ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("mknod", 1), ("mknodat", 2), ("creat", 1),
            ("open", 2), ("openat", 3),
        ]
        for mode in modes {
            for bit in [S_ISUID, S_ISGID] { try filter.refuse(mode.call, EPERM, [.has(mode.argument, UInt64(bit))]) }
        }
        // Typing into a terminal. The kernel looks at the low 32 bits of the command only, so the filter must, too.
        for command in [UInt64(TIOCSTI), linuxConsoleCommand] {
            try filter.refuse("ioctl", EPERM, [.lowBits(1, command)])
        }
        try refuseSockets(filter)
        return try filter.program()
    }

    /// TIOCLINUX of linux/tty.h: selections of the console can be pasted into it.
    private static let linuxConsoleCommand: UInt64 = 0x541C

    /// Only what programs use in their own network namespace: local, IPv4, IPv6, and asking for routes. Namely not
    /// AF_VSOCK, which reaches the host of a virtual machine from any namespace.
    private static func refuseSockets(_ filter: borrowing Filter) throws(ToolFailure) {
        let allowed: Set<UInt64> = [UInt64(AF_UNIX), UInt64(AF_INET), UInt64(AF_INET6), UInt64(AF_NETLINK)]
        for family in UInt64(0)..<32 where !allowed.contains(family) {
            try filter.refuse("socket", EAFNOSUPPORT, [.lowBits(0, family)])
        }
        // Families have 32 bits, and the allowed ones are below 32.
        for bit in 5..<32 { try filter.refuse("socket", EAFNOSUPPORT, [.has(0, UInt64(1) << bit)]) }
        // Of netlink only NETLINK_ROUTE, which is protocol 0: no other bit may be set.
        for bit in 0..<32 {
            try filter.refuse("socket", EAFNOSUPPORT, [.lowBits(0, UInt64(AF_NETLINK)), .has(2, UInt64(1) << bit)])
        }
    }

    // MARK: Known calls

    private static func makeKnownCalls() throws(ToolFailure) -> [UInt8] {
        let filter = try Filter(otherwise: Filter.error(ENOSYS))
        try filter.configure()
        for number in Int32(0)..<1024 {
            guard let name = seccomp_syscall_resolve_num_arch(UInt32(SCMP_ARCH_NATIVE), number) else { continue }
            free(name)
            try filter.allow(number)
        }
        return try filter.program()
    }
}

/// libseccomp's filter under construction.
private struct Filter: ~Copyable {
    private let context: scmp_filter_ctx

    static func error(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) & 0xFFFF }

    init(otherwise action: UInt32) throws(ToolFailure) {
        guard let context = seccomp_init(action) else {
            throw ToolFailure(.unavailable, "libseccomp does not support this machine")
        }
        self.context = context
    }

    /// What holds for all calls.
    func configure() throws(ToolFailure) {
        try Self.check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "foreign calls")
        // A binary tree: it costs each call of each command a few steps instead of hundreds.
        try Self.check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimisation")
    }

    deinit { seccomp_release(context) }

    enum Condition {
        /// All these bits are set in the argument of that number.
        case has(UInt32, UInt64)
        /// The argument's low 32 bits are this.
        case lowBits(UInt32, UInt64)

        var raw: scmp_arg_cmp {
            switch self {
            case .has(let argument, let bits):
                scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: bits, datum_b: bits)
            case .lowBits(let argument, let value):
                scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: 0xFFFF_FFFF, datum_b: value)
            }
        }
    }

    func refuse(_ name: String, _ code: Int32, _ conditions: [Condition] = []) throws(ToolFailure) {
        let number = seccomp_syscall_resolve_name(name)
        // A call that this libseccomp does not know is refused by the other program.
        guard number != __NR_SCMP_ERROR else { return }
        let raw = conditions.map(\.raw)
        try Self.check(seccomp_rule_add_array(context, Self.error(code), number, UInt32(raw.count), raw), name)
    }

    func allow(_ number: Int32) throws(ToolFailure) {
        try Self.check(seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 0, nil), "call \(number)")
    }

    func program() throws(ToolFailure) -> [UInt8] {
        do throws(SystemError) {
            let file = try memoryFile([])
            let result = seccomp_export_bpf(context, file.number)
            guard result == 0 else { throw SystemError(call: "seccomp_export_bpf", code: -result) }
            guard lseek(file.number, 0, SEEK_SET) == 0 else { throw SystemError(call: "lseek", code: errno) }
            guard let bytes = try file.readAll(limit: Self.maxBytes) else {
                throw SystemError(call: "seccomp_export_bpf", code: E2BIG)
            }
            return bytes
        } catch {
            throw Self.failure(error)
        }
    }

    /// The kernel takes no more than 4096 instructions of 8 bytes.
    private static let maxBytes = 4096 * 8

    private static func failure(_ error: SystemError) -> ToolFailure {
        ToolFailure(.unavailable, "The system call filter cannot be made: \(error)")
    }

    private static func check(_ result: Int32, _ what: String) throws(ToolFailure) {
        guard result == 0 else { throw failure(SystemError(call: "libseccomp (\(what))", code: -result)) }
    }
}
