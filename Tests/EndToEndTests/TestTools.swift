import Foundation

/// Programs from outside that judge Tau.
enum TestTools {
    /// Where they are; nil where they were not prepared.
    static let directory = ProcessInfo.processInfo.environment["TAU_TEST_TOOLS_DIR"].flatMap { $0.isEmpty ? nil : $0 }

    /// Runs one to its end; what it prints comes together.
    static func run(
        _ program: String, _ arguments: [String], input: [UInt8] = [], in directory: String
    ) throws -> (code: Int32, output: String) {
        let files = try TemporaryDirectory()
        let standardInput = URL(fileURLWithPath: files.path + "/input")
        try Data(input).write(to: standardInput)
        let output = files.path + "/output"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.standardInput = try FileHandle(forReadingFrom: standardInput)
        let handle = FileHandle(forWritingAtPath: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        return (process.terminationStatus, try String(contentsOfFile: output, encoding: .utf8))
    }
}

/// A program from outside that serves until the test is over.
final class ServerTool: Sendable {
    let outputPath: String
    private let processID: Int32

    init(_ program: String, _ arguments: [String], environment: [String: String] = [:], in directory: String) throws {
        outputPath = directory + "/" + UUID().uuidString + ".out"
        _ = FileManager.default.createFile(atPath: outputPath, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/bin", "HOME": directory].merging(environment) { _, new in
            new
        }
        process.standardInput = FileHandle.nullDevice
        let handle = FileHandle(forWritingAtPath: outputPath)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        processID = process.processIdentifier
    }

    /// Everything that it has printed.
    var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }

    func stop() { kill(processID, SIGKILL) }
}
