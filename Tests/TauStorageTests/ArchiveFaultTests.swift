import Foundation
import Synchronization
import TauCore
import TauObjects
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// Buckets that do not keep what they promise. No session may be lost to them.
@Suite(.ownThreads, .timeLimit(.minutes(5))) struct ArchiveFaultTests {
    enum Fault: CaseIterable {
        case forgetsWhatItTook, takesItAndSaysNo, takesItCutOff, takesItBroken, givesItCutOff, givesItBroken, saysNo
    }

    /// Another bucket with a fault.
    private struct FaultyBucket: ObjectBucket {
        let bucket: any ObjectBucket
        let fault: Fault
        private static let refusal = ObjectError(.unavailable, "500")

        private static func all(_ content: ObjectContent) async throws(ObjectError) -> [UInt8] {
            var bytes: [UInt8] = []
            while let piece = try await content.next() { bytes += piece }
            return bytes
        }

        private static func broken(_ bytes: [UInt8]) -> [UInt8] {
            var bytes = bytes
            bytes[bytes.count / 2] ^= 1
            return bytes
        }

        func put(_ key: String, _ content: ObjectContent) async throws(ObjectError) {
            if fault == .saysNo { throw Self.refusal }
            let bytes = try await Self.all(content)
            switch fault {
            case .forgetsWhatItTook: return
            case .takesItCutOff: return try await bucket.put(key, ObjectContent(Array(bytes.dropLast())))
            case .takesItBroken: return try await bucket.put(key, ObjectContent(Self.broken(bytes)))
            default: try await bucket.put(key, ObjectContent(bytes))
            }
            if fault == .takesItAndSaysNo { throw Self.refusal }
        }

        func get(_ key: String) async throws(ObjectError) -> ObjectContent {
            let bytes = try await Self.all(try await bucket.get(key))
            switch fault {
            case .givesItCutOff: return ObjectContent(Array(bytes.dropLast()))
            case .givesItBroken: return ObjectContent(Self.broken(bytes))
            default: return ObjectContent(bytes)
            }
        }

        func size(of key: String) async throws(ObjectError) -> Int? { try await bucket.size(of: key) }
        func delete(_ key: String) async throws(ObjectError) { try await bucket.delete(key) }
    }

    /// The session is where it was, can be continued, and goes to a bucket that works.
    private static func expectWhole(_ scene: ArchiveTests.Scene, _ storage: PostgresStorage) async throws {
        let id = ArchiveTests.file.header.id
        #expect(try await storage.sessions.summary(of: id).tier == .hot)
        let before = try await storage.sessions.export(id).bytes()
        #expect(before.starts(with: ArchiveTests.file.bytes))
        let last = try await storage.sessions.open(id).entries.last
        let next = SessionStoreContract.entry("next\(UUID())", after: nil)
        try await storage.sessions.append([next], to: id, after: last?.id)
        await storage.sessions.close(id)
        #expect(try await storage.sessions.export(id).bytes().ends(with: Array(next.line) + [0x0A]))
    }

    @Test(arguments: Fault.allCases)
    func `a session stays where it is until its object is there and right`(_ fault: Fault) async throws {
        let scene = try await ArchiveTests.Scene()
        let storage = try await scene.storage("first")
        let id = ArchiveTests.file.header.id
        try await storage.sessions.create(ArchiveTests.file)
        await storage.sessions.close(id)
        let archive = try #require(storage.sessions.archive)
        let faulty = PostgresArchive(
            pool: archive.pool, servers: archive.servers, store: archive.store,
            bucket: FaultyBucket(bucket: archive.bucket, fault: fault), logger: archive.logger)
        await #expect(throws: StoreError.self) { try await faulty.archive(id) }
        try await Self.expectWhole(scene, storage)

        let content = try await storage.sessions.export(id).bytes()
        try await scene.makeOld()
        #expect(try await archive.sweep(afterDays: 30, isTrial: false) { _, _, _, _ in } == 1)
        #expect(try await storage.sessions.summary(of: id).tier == .archived)
        #expect(try await scene.count("archive_garbage") == 0)
        #expect(scene.objects == ["one.jsonl"])
        #expect(try await storage.sessions.export(id).bytes() == content)
        // The way back through the same bucket brings the session whole, or not at all.
        do throws(StoreError) {
            try await faulty.restore(id)
            #expect(try await storage.sessions.summary(of: id).tier == .hot)
        } catch {
            #expect(fault == .givesItCutOff || fault == .givesItBroken, "\(error)")
            #expect(try await storage.sessions.summary(of: id).tier == .archived)
        }
        #expect(try await storage.sessions.export(id).bytes() == content)
        try await storage.close()
    }

    @Test
    func `an S3 whose connections break anywhere, or that is killed, takes and gives sessions whole or not at all`()
        async throws
    {
        let server = try ObjectServer(.rclone)
        let proxy = try CuttingProxy(to: server.port)
        let scene = try await ArchiveTests.Scene()
        var variables = server.variables
        variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:\(proxy.port)"
        let bucket = try OpenBucket(url: "s3://tests/part", threads: BlockingThreads(count: 2)) { variables[$0] }
        let storage = try await scene.storage("first", bucket)
        let archive = try #require(storage.sessions.archive)
        let id = ArchiveTests.file.header.id
        try await storage.sessions.create(ArchiveTests.file)
        await storage.sessions.close(id)
        let content = ArchiveTests.file.bytes
        for (direction, bytes) in [
            (CuttingProxy.Direction.toServer, 0), (.toServer, 300), (.toServer, content.count / 2), (.toClient, 10),
            (.toClient, content.count / 2),
        ] {
            proxy.cutConnections(direction, after: bytes)
            await #expect(throws: StoreError.self) { try await archive.archive(id) }
            #expect(try await storage.sessions.export(id).bytes() == content)
        }
        proxy.passEverything()
        server.kill()
        await #expect(throws: StoreError.self) { try await archive.archive(id) }
        try server.restart()
        try await archive.archive(id)
        #expect(try await scene.count("session_entries") == 0)
        #expect(try await scene.count("archive_garbage") == 0)
        for bytes in [10, content.count / 2] {
            proxy.cutConnections(.toClient, after: bytes)
            await #expect(throws: StoreError.self) { try await archive.restore(id) }
            await #expect(throws: StoreError.self) { try await storage.sessions.export(id).bytes() }
        }
        proxy.passEverything()
        #expect(try await storage.sessions.export(id).bytes() == content)
        try await archive.restore(id)
        #expect(try await storage.sessions.export(id).bytes() == content)
        try await storage.close()
    }
}

extension [UInt8] {
    fileprivate func ends(with suffix: [UInt8]) -> Bool { Array(self.suffix(suffix.count)) == suffix }
}
