internal import Synchronization
internal import TauCore
internal import TauSystem

/// Searches files in the server itself.
struct FileSearch: Sendable {
    let workspace: Workspace
    let request: GrepRequest
    let pattern: LinearPattern

    private final class State: Sendable {
        let hits: Mutex<SearchHits>
        /// Enough was found, or nobody wants it any more.
        let stop = StopFlag()
        /// Looked for once, when the first file with several names comes.
        private let secrets = Mutex<[Workspace.SecretFile]?>(nil)

        init(limit: Int) { hits = Mutex(SearchHits(limit: limit)) }

        func secretFiles(of workspace: Workspace) -> [Workspace.SecretFile] {
            secrets.withLock { secrets in
                if let secrets { return secrets }
                let found = workspace.secretFiles()
                secrets = found
                return found
            }
        }
    }

    func run(_ place: SearchPlace) async throws(ToolFailure) -> SearchResult {
        let state = State(limit: request.limit)
        return try await workspace.perform(stoppedBy: state.stop) { () throws(ToolFailure) in try search(place, state) }
    }

    private func search(_ place: SearchPlace, _ state: State) throws(ToolFailure) -> SearchResult {
        switch place {
        case .file(let path):
            let content = try workspace.read(path, limit: workspace.limits.maxSearchFileBytes)
            state.hits.withLock { $0.add(path.components.last ?? [], lines(of: content.bytes)) }
            return SearchResult(hits: state.hits.withLock { $0 }, isComplete: true)
        case .directory(let directory, let components):
            let filter = request.glob.map { GlobFilter(Array($0.utf8)) }
            let walk = WorkspaceWalk(
                workspace: workspace, limits: workspace.limits, filter: filter, stop: state.stop)
            let isComplete = walk.run(from: directory, components: components) { item in
                guard !item.isDirectory, !state.stop.isSet,
                    let bytes = content(of: item, state)
                else { return }
                let found = lines(of: bytes)
                guard !found.isEmpty else { return }
                let isFull = state.hits.withLock { hits in
                    hits.add(item.relativePath, found)
                    return hits.isFull
                }
                if isFull { state.stop.set() }
            }
            return SearchResult(
                hits: state.hits.withLock { $0 }, isComplete: isComplete || state.stop.isSet)
        }
    }

    /// nil for what is no regular file, too large, or goes away meanwhile.
    private func content(of item: WorkspaceWalk.Item, _ state: State) -> [UInt8]? {
        guard let file = try? item.parent.openFile(item.name, links: .refused), let status = try? file.status(),
            status.kind == .regular
        else { return nil }
        // A file with several names may be a secret one by another.
        if status.linkCount > 1, state.secretFiles(of: workspace).contains(where: { $0.isSame(as: status) }) {
            return nil
        }
        return try? file.readAll(limit: workspace.limits.maxSearchFileBytes)
    }

    /// The lines with a match and those around them, at most as many matches as are wanted.
    ///
    /// A file with a NUL byte near its beginning is no text; one with a NUL further on is text up to there. The same
    /// goes for ripgrep, whose first look takes 64 KiB.
    private func lines(of bytes: [UInt8]) -> [SearchHit] {
        let lineFeed = UInt8(ascii: "\n")
        guard !bytes.prefix(65_536).contains(0) else { return [] }
        var hits: [SearchHit] = []
        bytes.withUnsafeBytes { whole in
            let text = UnsafeRawBufferPointer(rebasing: whole[..<(whole.firstIndex(of: 0) ?? whole.count)])
            var position = 0
            var number = 1
            var counted = 0
            var matches = 0
            // The lines shown so far end here.
            var shownEnd = 0
            while matches < request.limit, let found = pattern.firstMatch(in: text, from: position), found < text.count
            {
                matches += 1
                let start = (text[..<found].lastIndex(of: lineFeed) ?? -1) + 1
                let end = text[found...].firstIndex(of: lineFeed) ?? text.count
                number += text[counted..<start].reduce(into: 0) { if $1 == lineFeed { $0 += 1 } }
                counted = start
                hits += before(start, number, since: shownEnd, text)
                hits.append(SearchHit(line: number, text: Array(text[start..<end]), isContext: false))
                shownEnd = min(end + 1, text.count)
                position = end + 1
                guard request.context > 0 else { continue }
                let next = position <= text.count ? pattern.firstMatch(in: text, from: position) : nil
                let after = after(end, number, until: next ?? text.count, text)
                hits += after.hits
                shownEnd = max(shownEnd, after.end)
            }
        }
        return hits
    }

    /// Up to `context` lines before `start`, but none that ends before `since`.
    private func before(_ start: Int, _ number: Int, since: Int, _ text: UnsafeRawBufferPointer) -> [SearchHit] {
        var hits: [SearchHit] = []
        var end = start - 1
        while hits.count < request.context, end >= since, end >= 0 {
            let begin = (text[..<end].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
            hits.append(SearchHit(line: number - hits.count - 1, text: Array(text[begin..<end]), isContext: true))
            end = begin - 1
        }
        return hits.reversed()
    }

    /// Up to `context` lines behind the line that ends at `end`, but not the one that holds `until`.
    private func after(
        _ end: Int, _ number: Int, until: Int, _ text: UnsafeRawBufferPointer
    ) -> (hits: [SearchHit], end: Int) {
        var hits: [SearchHit] = []
        var begin = end + 1
        while hits.count < request.context, begin < text.count {
            let lineEnd = text[begin...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            guard until > lineEnd || until >= text.count else { break }
            hits.append(SearchHit(line: number + hits.count + 1, text: Array(text[begin..<lineEnd]), isContext: true))
            begin = lineEnd + 1
        }
        return (hits, min(begin, text.count))
    }
}

/// The `glob` argument: names or paths that are searched, or with `!` those that are not.
struct GlobFilter: Sendable {
    private let pattern: GlobPattern
    private let isExclusion: Bool
    /// Compared with the path from where the search began.
    private let isAnchored: Bool

    init(_ text: [UInt8]) {
        var text = text[...]
        isExclusion = text.first == UInt8(ascii: "!")
        if isExclusion { text.removeFirst() }
        isAnchored = text.contains(UInt8(ascii: "/"))
        if text.first == UInt8(ascii: "/") { text.removeFirst() }
        pattern = GlobPattern(text)
    }

    enum Decision { case admitted, refused, open }

    /// Directories that an inclusion does not name are gone through: what it names may be in them.
    func decision(_ item: WorkspaceWalk.Item) -> Decision {
        if pattern.matches(isAnchored ? item.relativePath : item.name) { return isExclusion ? .refused : .admitted }
        return isExclusion || item.isDirectory ? .open : .refused
    }
}
