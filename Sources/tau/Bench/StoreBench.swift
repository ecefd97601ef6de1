internal import Glibc
internal import Logging
internal import TauCore
internal import TauRuntime
internal import TauStorage
internal import TauSystem

/// The session store and what is computed from sessions.
struct StoreBench {
    let directory: BenchDirectory
    let clock = ContinuousClock()
    static let line = String(repeating: "x", count: 350)

    init(_ directory: BenchDirectory) { self.directory = directory }

    func store(_ name: String) throws -> JSONLSessionStore {
        try JSONLSessionStore(
            directory: directory.path + "/" + name, catalog: directory.path + "/\(name).sqlite",
            threads: BlockingThreads(count: 16),
            logger: Self.logger)
    }

    static let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }

    /// A conversation of so many entries, as one branch.
    static func session(_ count: Int, id: String) -> SessionFile {
        let time = Timestamp(milliseconds: 1_700_000_000_000)
        let model = ModelReference(provider: "scripted", id: "scripted")
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        for number in 0..<count {
            let content = [ContentBlock.text("\(number) \(line)")]
            let message: Message =
                number.isMultiple(of: 2)
                ? .user(UserMessage(content: content, timestamp: time))
                : .assistant(
                    AssistantMessage(
                        content: content, api: "scripted", model: model, stopReason: .stop, timestamp: time))
            let digits = String(number, radix: 16)
            let id = String(repeating: "0", count: 8 - digits.count) + digits
            entries.append(
                Entry(.message(message), id: EntryID(unchecked: id), parentID: entries.last?.id, timestamp: time))
        }
        let header = SessionHeader(id: SessionID(unchecked: id), timestamp: time, workingDirectory: "/workspace")
        return SessionFile(header: header, entries: entries)
    }

    func contexts() async throws -> [Figure] {
        try contextsMadeAnew() + [try await continuedContext(10_000), try await continuedContext(50_000)]
    }

    /// A turn asks for the context after every entry.
    private func continuedContext(_ count: Int) async throws -> Figure {
        let store = try store("continued")
        let session = try await live("continued\(count)", in: store, entries: count)
        _ = session.context()
        var timings: [Double] = []
        for _ in 0..<200 {
            let message = UserMessage(content: [.text(Self.line)], timestamp: Composition.now())
            _ = try await session.append([.message(.user(message))])
            timings.append(clock.measure { precondition(session.context().messages.count > count) }.milliseconds)
        }
        return Figure(
            "context of a cached branch of \(count), one entry later", Timings(timings).percentile(0.5), "ms",
            atMost: 0.2)
    }

    private func contextsMadeAnew() throws -> [Figure] {
        [(10_000, 5.0), (50_000, 15.0)].map { count, goal in
            let tree = SessionTree(Self.session(count, id: "context"))
            let best = (0..<9).map { _ in
                clock.measure { precondition(tree.context(of: tree.leafID).messages.count == count) }.milliseconds
            }
            return Figure("context of a branch of \(count) entries", Timings(best).percentile(0.5), "ms", atMost: goal)
        }
    }

    func opens() async throws -> [Figure] {
        let store = try store("open")
        var figures: [Figure] = []
        for (count, goal) in [(10_000, 40.0), (50_000, 200.0)] {
            let file = Self.session(count, id: "open\(count)")
            try await store.create(file)
            await store.close(file.header.id)
            var timings: [Double] = []
            for _ in 0..<7 {
                Self.forget(directory.path + "/open/open\(count).jsonl")
                let start = clock.now
                let tree = SessionTree(try await store.open(file.header.id))
                timings.append((clock.now - start).milliseconds)
                precondition(tree.entries.count == count)
                await store.close(file.header.id)
            }
            let megabytes = Double(file.bytes.count) / 1e6
            figures.append(
                Figure(
                    "open from disk a file of \(count) entries (\(Int(megabytes.rounded())) MB)",
                    Timings(timings).percentile(0.5), "ms",
                    atMost: goal))
        }
        return figures
    }

    /// Takes a file out of the kernel's cache, so that it is read from the disk.
    private static func forget(_ path: String) {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
        close(file)
    }
}

extension Duration {
    var seconds: Double { milliseconds / 1000 }
}
