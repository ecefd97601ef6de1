/// One attempt of a command to get out, to see what it should not, or to take more than its share.
///
/// It has succeeded if its output says BREACH or has the secret in it, or if something of it is left on the host.
struct Attack: Sendable, CustomStringConvertible {
    enum Outside: Sendable {
        case succeeds, fails
        /// It depends on the machine, or would do harm.
        case notTried
    }

    let name: String
    let command: String
    /// What it does without the sandbox, as the same user: the proof that the attempt is a real one.
    let outside: Outside
    /// Seconds that it gets in the sandbox.
    var seconds = 20

    init(_ name: String, _ command: String, outside: Outside = .fails, seconds: Int = 20) {
        self.name = name
        self.command = command
        self.outside = outside
        self.seconds = seconds
    }

    var description: String { name }

    // MARK: Network

    static let network = [
        Attack(
            "service on the host's loopback", "(exec 3<> /dev/tcp/127.0.0.1/$PORT) && echo BREACH", outside: .succeeds),
        Attack("a way to the Internet", "tail -n +3 /proc/net/dev | grep -v ' lo:' && echo BREACH", outside: .notTried),
        Attack("a route to cloud metadata", "tail -n +2 /proc/net/route | grep . && echo BREACH", outside: .notTried),
        Attack("names by DNS", "cat /etc/resolv.conf && echo BREACH", outside: .notTried),
        Attack("abstract socket", "./probe connect-abstract $ABSTRACT", outside: .succeeds),
        Attack("socket by path", "./probe connect $SCENE/sockets/socket", outside: .succeeds),
        Attack(
            "sockets of the host's services",
            "for f in /run /var /sys /home /root; do [ ! -e $f ] || echo BREACH $f; done",
            outside: .succeeds),
        Attack("vsock", "./probe socket 40 1", outside: .succeeds),
        Attack("sniffing", "./probe socket 17 3"),
        Attack("raw ICMP", "./probe socket 2 3 1"),
        Attack("audit", "./probe socket 16 3 9", outside: .succeeds),
        Attack("packet filter", "./probe socket 16 3 12", outside: .succeeds),
        Attack("generic netlink", "./probe socket 16 3 16", outside: .succeeds),
        Attack("the kernel's ciphers", "./probe socket 38 5", outside: .notTried),
        Attack("bluetooth", "./probe socket 31 3", outside: .notTried),
        Attack("TIPC", "./probe socket 30 1", outside: .notTried),
        Attack("CAN", "./probe socket 29 3 1", outside: .notTried),
        Attack("RDS", "./probe socket 21 5", outside: .notTried),
        Attack("XDP", "./probe socket 44 3", outside: .notTried),
    ]

    // MARK: Files

    static let files = [
        Attack("passwords", "cat /etc/shadow && echo BREACH"),
        Attack("a file of the host", "cat $SCENE/outside/secret", outside: .succeeds),
        Attack("a neighbour by its path", "cat $SCENE/workspaces/neighbour/secret", outside: .succeeds),
        Attack("a neighbour beside", "cat ../neighbour/secret /workspace/../neighbour/secret"),
        Attack("link to a secret", "ln -sf $SCENE/outside/secret link; cat link", outside: .succeeds),
        Attack("link to everything", "ln -sfn / all; cat all$SCENE/outside/secret", outside: .succeeds),
        Attack(
            "hard link", "rm -f hard; ln $SCENE/workspaces/neighbour/secret hard && cat hard", outside: .succeeds),
        Attack("writing elsewhere", "for d in / /etc /usr /var /dev; do : > $d/tau-x && echo BREACH; done"),
        Attack("a channel in /tmp", "echo x > /tmp/tau-channel-$PORT", outside: .succeeds),
        Attack(
            "roots of /proc", "cat /proc/self/root$SCENE/outside/secret /proc/1/root$SCENE/outside/secret",
            outside: .succeeds),
        Attack(
            "root of each process", "for p in /proc/[0-9]*; do cat $p/root$SCENE/outside/secret; done",
            outside: .succeeds),
        Attack(
            "working directory of each process", "for p in /proc/[0-9]*; do cat $p/cwd/../outside/secret; done",
            outside: .succeeds),
        Attack("inherited descriptors", "for n in {3..40}; do cat <&$n; done", outside: .succeeds),
        Attack("above the root", "cd /; cat ../../..$SCENE/outside/secret", outside: .succeeds),
        Attack(
            "a directory that is gone", "mkdir g; cd g; rmdir ../g; cat ../outside/secret ../../outside/secret",
            outside: .succeeds),
        Attack("file by its handle", "./probe handle"),
        Attack("block device", "./probe block-device"),
        Attack(
            "devices", "for d in vda sda mem kmsg kvm fuse loop-control; do [ ! -e /dev/$d ] || echo BREACH $d; done",
            outside: .succeeds),
        Attack(
            "kernel settings",
            "for f in sys/kernel/core_pattern sys/kernel/sysrq sysrq-trigger; do [ ! -w /proc/$f ] || echo BREACH; done"
        ),
        Attack(
            "kernel memory",
            "head -c 1 /proc/kcore && echo BREACH; grep -m 1 -v '^0000000000000000' /proc/kallsyms && echo BREACH",
            outside: .notTried),
        Attack("command line of the kernel", "[ -z \"$(cat /proc/cmdline)\" ] || echo BREACH", outside: .succeeds),
        Attack("set-user-id copy", "cp /bin/true su; chmod 4755 su; [ ! -u su ] || echo BREACH", outside: .succeeds),
        Attack("set-user-id by other calls", "./probe set-id-files", outside: .succeeds),
        Attack("set-user-id by open", "./probe open-set-id", outside: .succeeds),
    ]

    // MARK: Secrets and processes

    static let processes = [
        Attack("environment", "env", outside: .succeeds),
        Attack("every environment", "cat /proc/1/environ /proc/*/environ | tr '\\0' '\\n'", outside: .succeeds),
        Attack("environment of the victim", "cat /proc/$VICTIM/environ", outside: .succeeds),
        Attack("environment of the server", "cat /proc/$SERVER/environ"),
        Attack(
            "command lines of the host", "tr '\\0' ' ' < /proc/$VICTIM/cmdline | grep victim && echo BREACH",
            outside: .succeeds),
        Attack("memory of the victim", "./probe read-memory $VICTIM", outside: .notTried),
        Attack("names in mounts", "grep -E 'neighbour|outside' /proc/self/mountinfo && echo BREACH"),
        Attack("processes of the host", "[ ! -e /proc/$VICTIM ] || echo BREACH", outside: .succeeds),
        Attack("signal to the victim", "./probe signal $VICTIM 0", outside: .succeeds),
        Attack("killing the victim", "kill -9 $VICTIM; kill -9 -1", outside: .notTried),
        Attack("tracing the victim", "./probe trace $VICTIM", outside: .notTried),
        Attack("tracing a child", "./probe trace-child", outside: .succeeds),
        Attack(
            "daemon",
            "(setsid sh -c 'trap \"\" TERM HUP; : > ready1; sleep 97$PORT; :' > /dev/null 2>&1 &); until [ -e ready1 ]; do :; done",
            outside: .succeeds),
        Attack(
            "held output",
            "setsid sh -c ': > ready2; nohup sleep 97$PORT; :' & disown; until [ -e ready2 ]; do :; done",
            outside: .succeeds),
        Attack("too long", "sleep 97$PORT", outside: .notTried, seconds: 1),
        Attack(
            "too long and deaf", "setsid bash -c 'trap \"\" TERM INT HUP; sleep 97$PORT; :' & sleep 1.5",
            outside: .succeeds, seconds: 1),
        Attack("real time", "./probe priority"),
        Attack("shared memory", "./probe shared-memory $MEMORY", outside: .succeeds),
        Attack("spared when memory is short", "echo -1000 > /proc/self/oom_score_adj && echo BREACH"),
    ]

    // MARK: Resources

    static let resources = [
        Attack("fork bomb", ": 97$PORT; bomb() { bomb | bomb & }; bomb; sleep 60", outside: .notTried, seconds: 3),
        Attack("many children", "./probe children 400", outside: .succeeds),
        Attack("memory", "./probe memory 2048", outside: .notTried),
        Attack(
            "memory as files",
            """
            for i in {1..40}; do head -c 10M /dev/zero > /dev/shm/$i; head -c 10M /dev/zero > /tmp/$i; done
            [ $(du -sm /dev/shm /tmp | awk '{ n += $1 } END { print n }') -le 90 ] || echo BREACH
            """, outside: .notTried),
        Attack("files in / and /dev", "mkdir /d /dev/d && echo BREACH; : > /dev/null2 && echo BREACH"),
        Attack("descriptors", "./probe open-files 5000", outside: .notTried),
        Attack("more descriptors", "./probe raise-limit"),
        Attack(
            "one huge file",
            "head -c 40M /dev/zero > huge; [ $(stat -c %s huge) -le 17000000 ] || echo BREACH; rm huge",
            outside: .succeeds),
        Attack("holes", "truncate -s 10T holes && echo BREACH; rm -f holes", outside: .succeeds),
        Attack(
            "many files", "for i in {1..40}; do head -c 8M /dev/zero > m$i; sleep 0.02; done; echo BREACH; rm -f m*",
            outside: .succeeds),
        Attack("clearing up", "rm -f m*", outside: .notTried),
        Attack("endless output", "yes; echo BREACH", outside: .notTried),
        Attack("core dump", "ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls core* && echo BREACH"),
        Attack("limits", "ulimit -n 100000 && echo BREACH; ulimit -f unlimited && echo BREACH", outside: .notTried),
    ]

    // MARK: Kernel

    static let kernel =
        [
            Attack("mount", "./probe mount"),
            Attack("remount", "./probe remount; touch /usr/x && echo BREACH"),
            Attack("umount", "./probe umount /workspace"),
            Attack("unmask", "./probe umount /proc/cmdline; ./probe umount /proc"),
            Attack("new mount calls", "./probe fsopen"),
            Attack("copied mounts", "./probe open-tree"),
            Attack("pivot_root", "./probe pivot-root"),
            Attack("chroot", "./probe chroot"),
            Attack("namespace of process 1", "./probe join-namespace 1"),
            Attack("user namespace", "./probe unshare 268435456", outside: .succeeds),
            Attack("user namespace by clone", "./probe clone 268435456", outside: .succeeds),
            Attack("user namespace by clone3", "./probe clone3", outside: .succeeds),
            Attack("user and mount namespaces by a tool", "unshare -Urm true && echo BREACH", outside: .succeeds),
            Attack("bpf", "./probe bpf", outside: .notTried),
            Attack("perf", "./probe perf", outside: .notTried),
            Attack("userfaultfd", "./probe userfaultfd", outside: .notTried),
            Attack("io_uring", "./probe io-uring", outside: .notTried),
            Attack("keyring", "./probe keyring", outside: .succeeds),
            Attack("typing into a terminal", "./probe inject", outside: .notTried),
            Attack("typing with high bits", "./probe inject-high", outside: .notTried),
            Attack("setuid", "./probe become-root"),
            Attack("setgroups", "./probe set-groups"),
            Attack("capabilities", "./probe capabilities"),
            Attack("ports", "./probe io-privilege"),
            Attack("clock", "./probe set-clock"),
            Attack("host name", "./probe host-name"),
            Attack("kernel log", "./probe kernel-log", outside: .notTried),
            Attack("swap", "./probe swap-on"),
            Attack("x32", "./probe x32", outside: .notTried),
            Attack("32 bit calls", "./probe int80", outside: .notTried),
            Attack("su and sudo", "for c in 'su -c' 'sudo -n'; do $c id | grep -w uid=0 && echo BREACH; done"),
            Attack("mapped users", "echo '0 0 1' > /proc/self/uid_map && echo BREACH"),
        ]
        + ["mnt": 131_072, "net": 1_073_741_824, "pid": 536_870_912, "uts": 67_108_864, "ipc": 134_217_728]
        .flatMap { name, flag in
            [
                Attack("\(name) namespace", "./probe unshare \(flag)"),
                Attack("\(name) namespace by clone", "./probe clone \(flag)"),
            ]
        }
}
