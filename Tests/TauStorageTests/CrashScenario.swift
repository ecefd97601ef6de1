import Foundation
import Glibc
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

/// Sessions that outlive the processes that write them, and what is known of them.
final class CrashScenario {
    let directory: StoreDirectory
    let ids: [SessionID]
    /// The ids of what must be there, in order.
    private var expected: [SessionID: [String]] = [:]

    init(sessions count: Int) async throws {
        directory = try StoreDirectory()
        ids = (0..<count).map { SessionID(unchecked: "crash-\($0)") }
        let store = try directory.store()
        for id in ids {
            try await store.create(
                SessionFile(
                    header: SessionHeader(id: id, timestamp: Timestamp(milliseconds: 0), workingDirectory: "/")))
            await store.close(id)
        }
    }

    var entryCount: Int { expected.values.reduce(0) { $0 + $1.count } }

    /// Opens the sessions as the next server would, and looks for all that was ever acknowledged.
    func holds(_ acknowledged: [SessionID: [String]], _ round: String) async throws -> Bool {
        let store = try directory.store()
        var isWhole = true
        for id in ids {
            let file = try await store.open(id)
            await store.close(id)
            if !holds(file, acknowledged[id] ?? [], "\(round), \(id)") { isWhole = false }
        }
        return isWhole
    }

    private func holds(_ file: SessionFile, _ acknowledged: [String], _ place: String) -> Bool {
        let ids = file.entries.map(\.id.rawValue)
        let places = Dictionary(ids.enumerated().map { ($1, $0) }) { first, _ in first }
        let order = ((expected[file.header.id] ?? []) + acknowledged).map { places[$0] ?? -1 }
        var problems: [String] = []
        if places.count != ids.count { problems.append("an entry is there twice") }
        if order.contains(-1) { problems.append("\(order.count { $0 == -1 }) acknowledged entries are lost") }
        if !zip(order, order.dropFirst()).allSatisfy(<) { problems.append("the order has changed") }
        if !file.findings.isEmpty { problems.append("a line is broken: \(file.findings)") }
        if file.entries.map(\.parentID) != Array(([nil] + file.entries.map(\.id)).prefix(ids.count)) {
            problems.append("the entries are no chain")
        }
        problems += Self.partOfBatch(ids)
        for problem in problems { Issue.record("\(place): \(problem)") }
        // What was on its way when the process died may be there or not; from here on it is acknowledged, too.
        expected[file.header.id] = ids
        return problems.isEmpty
    }

    /// An append is there wholly or not at all. Its entries are called "name.1of3", "name.2of3", …
    private static func partOfBatch(_ ids: [String]) -> [String] {
        var counts: [Substring: (found: Int, whole: Substring)] = [:]
        for id in ids {
            let parts = id.split(separator: ".")
            guard parts.count == 2, let of = parts[1].firstRange(of: "of") else { continue }
            counts[parts[0], default: (0, "")].found += 1
            counts[parts[0]]?.whole = parts[1][of.upperBound...]
        }
        return counts.filter { "\($0.value.found)" != $0.value.whole }.map {
            "of append \($0.key) only \($0.value.found) of \($0.value.whole) entries are there"
        }
    }
}

/// The process that appends until it dies; it says so after each acknowledgement.
final class CrashWriter {
    private let process = Process()
    private let output = Foundation.Pipe()
    private var bytes: [UInt8] = []

    init(
        _ scenario: CrashScenario, batches: Int = 0, journalBytes: Int = 1 << 20, goesOn: Bool = false,
        environment: [String: String] = [:]
    ) throws {
        process.executableURL = URL(fileURLWithPath: BuiltPrograms.path("CrashWriter"))
        process.arguments = [
            scenario.directory.path, "\(scenario.ids.count)", "\(batches)", "\(journalBytes)", goesOn ? "1" : "0",
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

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
    func acknowledged() -> [SessionID: [String]] {
        bytes += output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        var result: [SessionID: [String]] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
            let words = String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
            guard let session = words.first else { continue }
            result[SessionID(unchecked: session), default: []] += words.dropFirst()
        }
        return result
    }

    var batchCount: Int { bytes.count { $0 == UInt8(ascii: "\n") } }
    var diedOfKill: Bool { process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL }
    var endedWell: Bool { process.terminationReason == .exit && process.terminationStatus == 0 }
}

/// How often the crash tests try: `make torture` multiplies it.
let tortureFactor = ProcessInfo.processInfo.environment["TAU_TORTURE"].flatMap { Int($0) } ?? 1
