internal import Synchronization
internal import TauCore
internal import TauSystem

/// Goes through the files below a directory of the workspace, without following links, without `.git`, without what
/// `.gitignore` files leave out, and without what is protected.
///
/// Directories of one depth are visited at once, on the threads for blocking work.
struct WorkspaceWalk: Sendable {
    let workspace: Workspace
    let limits: ToolLimits
    /// What it admits by name is met although a `.gitignore` leaves it out, as in ripgrep.
    var filter: GlobFilter?
    /// Ends the walk at the next directory.
    let stop: StopFlag

    /// A name that was met.
    struct Item: Sendable {
        var name: [UInt8]
        var isDirectory: Bool
        /// Where the name is.
        var parent: Directory
        /// The way from the workspace to there.
        var directories: [[UInt8]]
        /// How many of them lead to where the walk began.
        var startDepth: Int

        /// From the workspace.
        var components: [[UInt8]] { directories + [name] }

        /// From where the walk began.
        var relativePath: [UInt8] {
            guard directories.count > startDepth else { return name }
            return Array((directories[startDepth...] + [name]).joined(separator: [UInt8(ascii: "/")]))
        }
    }

    private struct Level: Sendable {
        var directory: Directory
        var components: [[UInt8]]
        /// The same as names are compared.
        var folded: [[UInt8]]
        /// Not yet those of the directory itself.
        var rules: IgnoreRules
    }

    /// Tells `visit` of everything below `components`; it is called on several threads. Blocks. False if the walk was
    /// ended by its own bounds.
    func run(
        from directory: Directory, components: [[UInt8]], visit: @escaping @Sendable (Item) -> Void
    ) -> Bool {
        guard !workspace.protected.isHidden(components) else { return true }
        let entries = Atomic(0)
        var level = [
            Level(
                directory: directory, components: components, folded: components.map(ProtectedNames.folded),
                rules: rules(above: components))
        ]
        for _ in 0..<limits.maxSearchDepth where !level.isEmpty {
            let current = level
            let found = workspace.concurrently(current.count) { index -> [Level]? in
                guard !stop.isSet, entries.load(ordering: .relaxed) < limits.maxSearchEntries else { return nil }
                let (next, count) = children(of: current[index], startDepth: components.count, visit)
                entries.add(count, ordering: .relaxed)
                return next
            }
            level = found.flatMap { $0 }
        }
        return level.isEmpty && entries.load(ordering: .relaxed) < limits.maxSearchEntries
    }

    private func children(
        of level: Level, startDepth: Int, _ visit: (Item) -> Void
    ) -> (next: [Level], entries: Int) {
        guard let entries = try? level.directory.entries(limit: limits.maxSearchEntries) else { return ([], 0) }
        let hasRules = entries.contains { $0.name == IgnoreRules.fileName }
        let rules = hasRules ? level.rules.adding(level.directory, depth: level.components.count) : level.rules
        var next: [Level] = []
        for entry in entries {
            guard let kind = entry.kind ?? (try? level.directory.status(of: entry.name).kind),
                kind == .regular || kind == .directory, entry.name != Self.gitDirectory
            else { continue }
            let item = Item(
                name: entry.name, isDirectory: kind == .directory, parent: level.directory,
                directories: level.components, startDepth: startDepth)
            guard isMet(item, rules), !workspace.protected.isHidden(entry.name, in: level.folded) else { continue }
            visit(item)
            guard item.isDirectory, let directory = try? level.directory.openDirectory(entry.name, links: .refused)
            else { continue }
            next.append(
                Level(
                    directory: directory, components: item.components,
                    folded: level.folded + [ProtectedNames.folded(entry.name)], rules: rules))
        }
        return (next, entries.count)
    }

    private func isMet(_ item: Item, _ rules: IgnoreRules) -> Bool {
        switch filter?.decision(item) {
        case .admitted: true
        case .refused: false
        case .open, nil: rules.isEmpty || !rules.ignores(item.components, isDirectory: item.isDirectory)
        }
    }

    private static let gitDirectory = Array(".git".utf8)

    /// What the files above a directory say.
    private func rules(above components: [[UInt8]]) -> IgnoreRules {
        var rules = IgnoreRules.none
        var directory = workspace.directory
        for (depth, name) in components.enumerated() {
            rules = rules.adding(directory, depth: depth)
            guard let next = try? directory.openDirectory(name, links: .refused) else { break }
            directory = next
        }
        return rules
    }
}

/// Tells work on other threads that it is not wanted any more.
final class StopFlag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

extension Workspace {
    /// Runs work that only reads, and that looks at the flag: it is set when the caller is cancelled.
    func perform<Value: Sendable>(
        stoppedBy stop: StopFlag, _ body: @escaping @Sendable () throws(ToolFailure) -> Value
    ) async throws(ToolFailure) -> Value {
        let result: Result<Value, ToolFailure> = await withTaskCancellationHandler {
            do throws(ToolFailure) {
                return .success(try await perform(body))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            stop.set()
        }
        guard !Task.isCancelled else { throw .aborted }
        return try result.get()
    }
}
