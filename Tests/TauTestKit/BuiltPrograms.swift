import Foundation
import TauSystem

/// Programs that tests run: those that were built beside the tests, those of the system, and C files of the tests' own.
public enum BuiltPrograms {
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// Where the build puts programs and test bundles.
    public static let directory: String = {
        for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
            return bundle.bundleURL.deletingLastPathComponent().path
        }
        let main = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
        return main.deletingLastPathComponent().path
    }()

    /// The program of that name that was built beside these tests.
    public static func path(_ name: String) -> String { directory + "/" + name }

    /// Compiles a C file below `Tests` and answers where the result is. It needs nothing but the C library.
    public static func compile(_ source: String, to name: String, options: [String] = []) throws -> String {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let result = path(name)
        // Another run of the tests may have it open.
        let unfinished = "\(result).\(ProcessInfo.processInfo.processIdentifier)"
        try run(["clang", "-O1"] + options + ["-o", unfinished, tests.appendingPathComponent(source).path])
        guard rename(unfinished, result) == 0 else { throw Failure(description: "\(result) cannot be made") }
        return result
    }

    /// Runs a program of the system to its end and answers what it wrote. Blocks. Throws unless it ends with 0.
    @discardableResult
    public static func run(_ words: [String]) throws -> String {
        let pipe = try TauSystem.Pipe()
        let child = try ChildProcess.spawn(
            ChildRequest(
                executable: "/usr/bin/env", arguments: words,
                environment: ProcessInfo.processInfo.environment.map { "\($0)=\($1)" }, output: pipe.writing.number))
        let output = try pipe.closingWritingEnd().readAll(limit: 1 << 20) ?? []
        let status = child.reap()
        guard status == .code(0) else {
            throw Failure(description: "\(words) ended with \(status): \(String(decoding: output, as: UTF8.self))")
        }
        return String(decoding: output, as: UTF8.self)
    }
}
