import Foundation
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

@Suite struct ConcurrencyTests {
    @Test func `20 sessions are appended to at once, each keeps its own order`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let appends = 25
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let file = SessionStoreContract.file("s\(number)")
                    try await store.create(file)
                    var last: Entry?
                    for step in 0..<appends {
                        let entry = SessionStoreContract.entry("\(number)-\(step)", after: last)
                        try await store.append([entry], to: file.header.id, after: last?.id)
                        last = entry
                    }
                }
            }
            // Others read meanwhile.
            group.addTask { for _ in 0..<5 { _ = try await store.list(SessionQuery(search: "0-0")) } }
            try await group.waitForAll()
        }
        for number in 0..<20 {
            let file = try SessionFile(parsing: try directory.read("s\(number)"))
            #expect(file.entries.map(\.id.rawValue) == (0..<appends).map { "id-\(number)-\($0)" })
            #expect(file.findings.isEmpty)
        }
        #expect(
            try await store.list(SessionQuery(limit: 100)).sessions.map(\.entryCount) == .init(repeating: 25, count: 20)
        )
    }

    @Test func `of many who append after the same entry one wins, the others learn it`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let file = SessionStoreContract.file("one", ["a"])
        try await store.create(file)
        let winners = await withTaskGroup(of: String?.self) { group in
            for number in 0..<30 {
                group.addTask {
                    let entry = SessionStoreContract.entry("\(number)", after: file.entries[0])
                    do throws(StoreError) {
                        try await store.append([entry], to: file.header.id, after: file.entries[0].id)
                        return entry.id.rawValue
                    } catch {
                        return error.code == .conflict ? nil : "\(error)"
                    }
                }
            }
            return await group.reduce(into: [String]()) { if let winner = $1 { $0.append(winner) } }
        }
        #expect(winners.count == 1)
        let stored = try SessionFile(parsing: try directory.read("one"))
        #expect(stored.entries.map(\.id.rawValue) == ["id-a"] + winners)
    }

    @Test func `of many who open a session one gets it`() async throws {
        let directory = try StoreDirectory()
        let first = try directory.store()
        let second = try directory.store()
        let id = SessionID(unchecked: "one")
        try await first.create(SessionStoreContract.file("one", ["a"]))
        await first.close(id)
        let codes = await withTaskGroup(of: StoreError.Code?.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do throws(StoreError) {
                        _ = try await (number.isMultiple(of: 2) ? first : second).open(id)
                        return nil
                    } catch {
                        return error.code
                    }
                }
            }
            return await group.reduce(into: [StoreError.Code?]()) { $0.append($1) }
        }
        #expect(codes.count { $0 == nil } == 1)
        #expect(codes.count { $0 == .conflict } == 19)
    }

    @Test func `an old file that several open at once is migrated by one, whose appends stay`() async throws {
        let old = Array(
            (#"{"type":"session","id":"old","timestamp":"2025-01-01T00:00:00.000Z","cwd":"/"}"# + "\n"
                + #"{"type":"message","timestamp":"t","message":{"role":"user","content":"a"}}"# + "\n").utf8)
        let id = SessionID(unchecked: "old")
        for round in 0..<100 {
            let directory = try StoreDirectory()
            try directory.write(old, "old")
            let stores = try (0..<4).map { _ in try directory.store() }
            let appended = try await withThrowingTaskGroup(of: EntryID?.self) { group in
                for (number, store) in stores.enumerated() {
                    group.addTask {
                        for _ in 0..<20 {
                            guard let file = try? await store.open(id) else { continue }
                            let entry = SessionStoreContract.entry("\(number)", after: file.entries.last)
                            try await store.append([entry], to: id, after: file.entries.last?.id)
                            await store.close(id)
                            return entry.id
                        }
                        return nil
                    }
                }
                return try await group.reduce(into: [EntryID]()) { if let entry = $1 { $0.append(entry) } }
            }
            let file = try SessionFile(parsing: try directory.read("old"))
            #expect(Set(file.entries.dropFirst().map(\.id)) == Set(appended), "round \(round)")
            #expect(SessionTree(file).branch(to: file.entries.last?.id).count == appended.count + 1, "round \(round)")
        }
    }

    @Test func `a session that is deleted while others open it is gone or theirs, never both`() async throws {
        let directory = try StoreDirectory()
        let first = try directory.store()
        let second = try directory.store()
        let id = SessionID(unchecked: "one")
        for _ in 0..<100 {
            try await first.create(SessionStoreContract.file("one", ["a"]))
            await first.close(id)
            async let deleted = Self.succeeds { () throws(StoreError) in try await first.delete(id) }
            async let opened = Self.succeeds { () throws(StoreError) in _ = try await second.open(id) }
            let (isDeleted, isOpened) = await (deleted, opened)
            #expect(isDeleted != isOpened)
            #expect(FileManager.default.fileExists(atPath: directory.file("one")) == isOpened)
            if isOpened { try await second.delete(id) }
        }
    }

    private static func succeeds(_ body: @Sendable () async throws(StoreError) -> Void) async -> Bool {
        do throws(StoreError) {
            try await body()
            return true
        } catch {
            return false
        }
    }
}
