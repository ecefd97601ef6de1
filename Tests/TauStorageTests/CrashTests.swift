import Foundation
import Glibc
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

/// Real processes, really killed.
@Suite struct CrashTests {
    static let rounds = 200

    @Test func `after 200 kills during appends every acknowledged entry is there, once and in order`() async throws {
        let session = try await CrashSession()
        var generator = SeededGenerator(seed: 7)
        for round in 0..<Self.rounds {
            let writer = try CrashWriter(session)
            writer.kill(afterBatches: Int.random(in: 1...12, using: &generator))
            guard try await session.holds(writer.acknowledged(), round) else { return }
        }
        #expect(session.entryCount > Self.rounds)
    }

    @Test func `while a process writes a session no other may, and its death gives the session free`() async throws {
        let session = try await CrashSession()
        let writer = try CrashWriter(session)
        writer.wait(forBatches: 2)
        let store = try session.directory.store()
        let refused = await #expect(throws: StoreError.self) { try await store.open(session.id) }
        #expect(refused?.code == .conflict)
        let kept = await #expect(throws: StoreError.self) { try await store.delete(session.id) }
        #expect(kept?.code == .conflict)
        // Reading needs no right to write.
        #expect(try await store.list(SessionQuery()).sessions.map(\.id) == [session.id])
        _ = try SessionFile(parsing: try await store.export(session.id))
        writer.kill(afterBatches: 3)
        #expect(try await session.holds(writer.acknowledged(), 0))
    }
}

/// A session that outlives the processes that write it.
final class CrashSession {
    let directory: StoreDirectory
    let id = SessionID(unchecked: "crash-test")
    /// Ids of what must be there, in order.
    private var expected: [String] = []

    init() async throws {
        directory = try StoreDirectory()
        let store = try directory.store()
        try await store.create(
            SessionFile(
                header: SessionHeader(id: id, timestamp: Timestamp(milliseconds: 0), workingDirectory: "/")))
        await store.close(id)
    }

    var entryCount: Int { expected.count }

    /// Opens the session as the next server would, and looks for all that was ever acknowledged.
    func holds(_ acknowledged: [String], _ round: Int) async throws -> Bool {
        let store = try directory.store()
        let file = try await store.open(id)
        await store.close(id)
        let ids = file.entries.map(\.id.rawValue)
        let places = Dictionary(ids.enumerated().map { ($1, $0) }) { first, _ in first }
        let order = (expected + acknowledged).map { places[$0] ?? -1 }
        #expect(places.count == ids.count, "round \(round): an entry is there twice")
        #expect(!order.contains(-1), "round \(round): an acknowledged entry is lost")
        #expect(zip(order, order.dropFirst()).allSatisfy(<), "round \(round): the order has changed")
        #expect(file.findings.isEmpty, "round \(round)")
        let chain = [nil] + file.entries.dropLast().map(\.id)
        #expect(file.entries.map(\.parentID) == chain, "round \(round): the entries are no chain")
        // What was on its way when the process died may be there or not; from here on it is acknowledged, too.
        expected = ids
        return places.count == ids.count && !order.contains(-1)
    }
}

/// The process that appends until it dies; it says so after each acknowledgement.
final class CrashWriter {
    private let process = Process()
    private let output = Foundation.Pipe()
    private var bytes: [UInt8] = []

    init(_ session: CrashSession, environment: [String: String] = [:]) throws {
        process.executableURL = Self.executable
        process.arguments = [session.directory.path, session.id.rawValue]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    /// It lies beside the test bundle.
    private static let executable: URL = {
        var directory = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        if let main = Bundle.main.executableURL { directory = main.deletingLastPathComponent() }
        for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
            directory = bundle.bundleURL.deletingLastPathComponent()
        }
        return directory.appendingPathComponent("CrashWriter")
    }()

    func wait(forBatches count: Int) {
        while batchCount < count {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { return }
            bytes += more
        }
    }

    func kill(afterBatches count: Int) {
        wait(forBatches: count)
        Glibc.kill(process.processIdentifier, SIGKILL)
    }

    /// The ids that it has acknowledged until its end, for which this waits.
    func acknowledged() -> [String] {
        bytes += output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        return lines.flatMap { String(decoding: $0, as: UTF8.self).split(separator: " ").map(String.init) }
    }

    var batchCount: Int { bytes.count { $0 == UInt8(ascii: "\n") } }
    var diedOfKill: Bool { process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL }
}
