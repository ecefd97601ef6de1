import TauCore
import Testing

@testable import TauTools

struct DangerousCommandTests {
    @Test(arguments: [
        "rm -rf /", "rm -fr /*", "rm -r -f --no-preserve-root /", "cd x && rm -rf /", "sudo rm -rf /usr", "rm -Rf ~",
        "rm -rf \"$HOME\"", "/bin/rm --recursive --force /", "A=1 env B=2 rm -rf //", "if true; then rm -rf /; fi",
        "echo $(rm -rf /)", "echo `rm -rf /etc`", "(rm -rf /)", "{ rm -rf /workspace/; }", "'rm' -rf '/'",
        "timeout 5 rm -rf /", "true\nrm -rf /\n", "r\\m -rf /", "chmod -R 777 /", "chown -R me /etc",
        "dd if=/dev/zero of=x",
        "dd if=image of=/dev/sda bs=1M count=1", "cat x | dd of=/dev/nvme0n1", "mkfs.ext4 /dev/vdb", "mkfs -t xfs x",
        "echo x > /dev/sda", ":(){ :|:& };:", ":(){ :|: & };:", "bomb() { bomb | bomb & }; bomb", "f(){ f|f& }\nf",
        "shred -n 1 /dev/sdb", "shutdown -h now", "sudo -n reboot", "while true; do rm -rf /; done",
    ])
    func `harm that is plain to see is refused with its reason`(script: String) {
        #expect(DangerousCommands.problem(in: script) != nil)
    }

    @Test(arguments: [
        "rm -rf build", "rm -rf ./*", "rm -rf /tmp/x", "rm -rf /workspace/build", "rm /workspace/file", "rm -f /etc/x",
        "grep -rn 'rm -rf /' .", "echo 'dd if=/dev/zero of=x'", "git commit -m 'never rm -rf / again'",
        "echo rm -rf /", "printf '%s\\n' \":(){ :|:& };:\"", "dd if=/dev/zero of=x bs=1M count=4", "dd if=a of=b",
        "dd if=/dev/urandom of=/dev/null", "# rm -rf /\ntrue", "man mkfs", "ls /dev/sda", "cmd > /dev/null 2>&1",
        "f() { g | h & }; f", "chmod -R u+w .", "cat <<'END'\nnothing\nEND", "echo a\\;b", "echo \"unterminated",
        "swift build && rm -rf .build/x", "find / -name rm", "which reboot", "echo \\", "$(", "x=$(date)",
    ])
    func `what only mentions it, or does little, is not`(script: String) {
        #expect(DangerousCommands.problem(in: script) == nil)
    }

    @Test(.enabled(if: TestServer.hasSandbox, "bubblewrap is not installed"))
    func `bash refuses them unless told otherwise`() async throws {
        let refusal = try await TestServer().failure("bash", ["command": "rm -rf /; echo tried"])
        #expect(refusal.code == .denied)
        #expect(refusal.message.hasPrefix("The command was not run: it would remove all of /"))
        var limits = ToolLimits()
        limits.refusesDangerousCommands = false
        // The box holds all the same.
        let server = try await TestServer(limits: limits)
        #expect(try await server.bash("rm -rf /usr/bin/env 2> /dev/null; echo tried").hasPrefix("tried"))
        #expect(try await server.bash("rm -rf /usr 2> /dev/null; ls /usr | grep -c bin").hasPrefix("2"))
    }
}
