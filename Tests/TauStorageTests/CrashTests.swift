import Foundation
import Logging
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// Real processes, really killed.
@Suite struct CrashTests {
    static let rounds = 200

    static let writer: URL = {
        var directory = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        if let main = Bundle.main.executableURL { directory = main.deletingLastPathComponent() }
        for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
            directory = bundle.bundleURL.deletingLastPathComponent()
        }
        return directory.appendingPathComponent("CrashWriter")
    }()

    @Test func `after 200 kills during appends every acknowledged entry is there, once and in order`() async throws {
        let directory = try StoreDirectory()
        let id = SessionID(unchecked: "crash-test")
        let header = SessionHeader(id: id, timestamp: Timestamp(milliseconds: 0), workingDirectory: "/")
        do {
            let store = try directory.store()
            try await store.create(SessionFile(header: header))
            await store.close(id)
        }
        var generator = SeededGenerator(seed: 7)
        var acknowledged: [String] = []
        for round in 0..<Self.rounds {
            acknowledged += try Self.appendUntilKilled(
                directory.path, id, after: Int.random(in: 1...12, using: &generator))
            let store = try directory.store()
            let file = try await store.open(id)
            await store.close(id)
            let ids = file.entries.map(\.id.rawValue)
            let places = Dictionary(ids.enumerated().map { ($1, $0) }) { first, _ in first }
            #expect(places.count == ids.count, "round \(round): an entry is there twice")
            let order = acknowledged.map { places[$0] ?? -1 }
            #expect(!order.contains(-1), "round \(round): an acknowledged entry is lost")
            #expect(zip(order, order.dropFirst()).allSatisfy(<), "round \(round): the order has changed")
            #expect(file.findings.isEmpty)
            for (entry, before) in zip(file.entries.dropFirst(), file.entries) { #expect(entry.parentID == before.id) }
            // What was on its way when the process died may be there or not; from here on it is acknowledged, too.
            acknowledged = ids
            guard order.contains(-1) == false else { return }
        }
        #expect(acknowledged.count > Self.rounds)
    }

    /// Kills the writer once it has acknowledged so many batches; gives the ids.
    private static func appendUntilKilled(_ directory: String, _ id: SessionID, after batches: Int) throws -> [String] {
        let process = Process()
        process.executableURL = writer
        process.arguments = [directory, id.rawValue]
        let output = Foundation.Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        var bytes: [UInt8] = []
        while bytes.count(where: { $0 == UInt8(ascii: "\n") }) < batches {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { break }
            bytes += more
        }
        kill(process.processIdentifier, SIGKILL)
        bytes += output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        return lines.flatMap { String(decoding: $0, as: UTF8.self).split(separator: " ").map(String.init) }
    }
}
