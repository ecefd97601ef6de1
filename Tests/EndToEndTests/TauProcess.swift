import Foundation
import Synchronization
import TauTestKit

/// A real `tau serve` in a process of its own, on a free port and a directory of its own.
final class TauProcess: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let directory: TemporaryDirectory
    let url: String
    let key = "test-key-of-at-least-sixteen-bytes"
    private let process: Mutex<Process>
    let processID: Int32

    /// Starts the server and waits until it listens.
    init(in directory: TemporaryDirectory? = nil, environment: [String: String] = [:]) throws {
        let directory = try directory ?? TemporaryDirectory()
        self.directory = directory
        let process = Process()
        process.executableURL = Self.executable
        process.arguments = ["serve", "--port", "0", "--data-dir", directory.path + "/data"]
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        var variables = Self.cleanEnvironment
        variables["TAU_AUTH_ADMIN_KEY"] = key
        // Tests ask more than a user does in a minute.
        variables["TAU_LIMITS_REQUESTS"] = "0"
        variables["TAU_LIMITS_FAILURES"] = "0"
        variables["TAU_BUDGET_TOKENS"] = "0"
        if TestDatabase.isEverywhere { variables.merge(try TestDatabase.variables(for: directory)) { _, new in new } }
        variables.merge(environment) { _, new in new }
        process.environment = variables
        let output = Pipe()
        process.standardOutput = output
        let log = directory.path + "/server.log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        process.standardError = FileHandle(forWritingAtPath: log)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        processID = process.processIdentifier
        self.process = Mutex(process)
        var text = ""
        while !text.contains("Ctrl-C stops") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else {
                throw Failure(
                    description: "the server did not start: "
                        + ((try? String(contentsOfFile: log, encoding: .utf8)) ?? ""))
            }
            text += String(decoding: data, as: UTF8.self)
        }
        guard let found = text.firstMatch(of: /https?:\/\/127\.0\.0\.1:[0-9]+/) else {
            throw Failure(description: "the server told no address: \(text)")
        }
        url = String(found.output)
    }

    var log: String { (try? String(contentsOfFile: directory.path + "/server.log", encoding: .utf8)) ?? "" }

    /// A message that makes the agent run a command until `release` is called for the session.
    static let heldMessage = #"Use bash with command="until [ -e go ]; do sleep 0.02; done; echo done"."#

    /// Lets the command of `heldMessage` end.
    func release(_ session: String) throws {
        try Data().write(to: URL(fileURLWithPath: directory.path + "/data/workspaces/\(session)/go"))
    }

    func send(_ signal: Int32) { kill(processID, signal) }

    /// Waits for the process's end and gives its exit code; negative for a signal.
    @discardableResult
    func waitForEnd() -> Int32 {
        process.withLock { process in
            process.waitUntilExit()
            return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
        }
    }

    func stop() {
        send(SIGTERM)
        waitForEnd()
    }

    /// The `tau` that was built beside these tests.
    static let executable = URL(fileURLWithPath: BuiltPrograms.path("tau"))

    /// The environment without what would configure a server.
    static let cleanEnvironment = ProcessInfo.processInfo.environment.filter { name, _ in
        !name.hasPrefix("TAU_") && !name.hasPrefix("ANTHROPIC_") && !name.hasPrefix("OPENAI_")
    }

    /// Runs one command to its end.
    static func command(
        _ arguments: [String], in directory: String, environment: [String: String] = [:]
    ) throws -> (code: Int32, output: String, errors: String) {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.environment = cleanEnvironment.merging(environment) { _, new in new }
        process.standardInput = FileHandle.nullDevice
        let results = try TemporaryDirectory()
        let output = results.path + "/output"
        let errors = results.path + "/errors"
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        return (
            process.terminationStatus, try String(contentsOfFile: output, encoding: .utf8),
            try String(contentsOfFile: errors, encoding: .utf8)
        )
    }
}

/// A directory that goes with its last reference.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "tau-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
