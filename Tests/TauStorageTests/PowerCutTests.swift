import Foundation
import TauCore
import TauTestKit
import Testing

/// Killing a process cannot show a missing sync, because the kernel still writes what it was given. These rounds take
/// back what was never synced, as a power cut does.
@Suite struct PowerCutTests {
    static let rounds = 100

    @Test(arguments: ["cut off", "zeros"])
    func `after 100 power cuts every acknowledged entry is there, once and in order`(_ tail: String) async throws {
        let session = try await CrashSession()
        let library = try Self.library(in: session.directory)
        var generator = SeededGenerator(seed: 9)
        for round in 0..<Self.rounds {
            let writer = try CrashWriter(
                session,
                environment: [
                    "LD_PRELOAD": library, "POWER_CUT_AT": "\(Int.random(in: 1...24, using: &generator))",
                    "POWER_CUT_SEED": "\(generator.next() >> 1)", "POWER_CUT_ZEROS": tail == "zeros" ? "1" : "0",
                ])
            let acknowledged = writer.acknowledged()
            try #require(writer.diedOfKill)
            guard try await session.holds(acknowledged, round) else { return }
        }
        #expect(session.entryCount > Self.rounds)
    }

    @Test func `a sync that fails ends the writing: nothing is acknowledged after it`() async throws {
        let session = try await CrashSession()
        let library = try Self.library(in: session.directory)
        for round in 1...10 {
            let writer = try CrashWriter(
                session,
                // A writer that goes on is stopped in the end.
                environment: ["LD_PRELOAD": library, "SYNC_FAILS_AT": "\(round)", "POWER_CUT_AT": "500"])
            let acknowledged = writer.acknowledged()
            #expect(!writer.diedOfKill)
            // Each batch needs one sync, and the one that failed has no acknowledgement.
            #expect(writer.batchCount == round - 1)
            guard try await session.holds(acknowledged, round) else { return }
        }
    }

    /// Stands between the process and the kernel, and remembers how long each file was when it was last synced.
    private static func library(in directory: StoreDirectory) throws -> String {
        let source = directory.path + "/power-cut.c"
        let library = directory.path + "/power-cut.so"
        try Data(text.utf8).write(to: URL(fileURLWithPath: source))
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = ["clang", "-shared", "-fPIC", "-O1", "-o", library, source]
        try compiler.run()
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0)
        return library
    }

    private static let text = #"""
        #define _GNU_SOURCE
        #include <errno.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        static off_t durable[1024];
        static char known[1024];
        static long calls, syncs;

        static long number(const char *name) { const char *text = getenv(name); return text ? atol(text) : 0; }

        static off_t size(int fd) { struct stat status; return fstat(fd, &status) == 0 ? status.st_size : 0; }

        static void remember(int fd) {
            if (fd < 1024 && !known[fd]) { known[fd] = 1; durable[fd] = size(fd); }
        }

        static void may_cut(int fd) {
            if (fd >= 1024 || ++calls != number("POWER_CUT_AT")) return;
            off_t end = size(fd), lost = end - durable[fd];
            off_t kept = lost > 0 ? durable[fd] + number("POWER_CUT_SEED") % (lost + 1) : end;
            syscall(SYS_ftruncate, fd, kept);
            if (number("POWER_CUT_ZEROS")) syscall(SYS_ftruncate, fd, end);
            kill(getpid(), SIGKILL);
        }

        ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
            pthread_mutex_lock(&lock);
            remember(fd);
            ssize_t result = syscall(SYS_pwrite64, fd, bytes, count, offset);
            may_cut(fd);
            pthread_mutex_unlock(&lock);
            return result;
        }

        ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
            return pwrite(fd, bytes, count, offset);
        }

        static int synced(int fd, long call) {
            pthread_mutex_lock(&lock);
            remember(fd);
            may_cut(fd);
            if (++syncs == number("SYNC_FAILS_AT")) {
                pthread_mutex_unlock(&lock);
                errno = EIO;
                return -1;
            }
            int result = syscall(call, fd);
            if (result == 0 && fd < 1024) durable[fd] = size(fd);
            pthread_mutex_unlock(&lock);
            return result;
        }

        int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
        int fsync(int fd) { return synced(fd, SYS_fsync); }

        int close(int fd) {
            if (fd >= 0 && fd < 1024) known[fd] = 0;
            return syscall(SYS_close, fd);
        }
        """#
}
