package import TauCore

/// Copies all sessions from one store to another, byte for byte. What is there already is compared and left, so that it can be
/// broken off and begun again.
package struct SessionCopy: Sendable {
    package enum Outcome: Sendable, Equatable {
        case copied, same
        /// The other store has a session of this id with other bytes; neither is changed.
        case differs
        case failed(StoreError.Code, String)
    }

    package struct Report: Sendable, Equatable {
        package var copied = 0
        package var same = 0
        package var problems: [(id: SessionID, outcome: Outcome)] = []

        package static func == (left: Report, right: Report) -> Bool {
            left.copied == right.copied && left.same == right.same
                && left.problems.map(\.id) == right.problems.map(\.id)
        }
    }

    private let source: any SessionStore
    private let target: any SessionStore

    package init(from source: any SessionStore, to target: any SessionStore) {
        self.source = source
        self.target = target
    }

    /// `progress` hears how many have been looked at. Throws where the source cannot be listed.
    package func run(progress: @Sendable (_ done: Int) -> Void) async throws(StoreError) -> Report {
        var report = Report()
        var query = SessionQuery(order: .createdAt, limit: 200)
        var done = 0
        repeat {
            let page = try await source.list(query)
            for session in page.sessions {
                guard !Task.isCancelled else { return report }
                switch await copy(session.id, of: session.owner) {
                case .copied: report.copied += 1
                case .same: report.same += 1
                case let problem: report.problems.append((session.id, problem))
                }
                done += 1
                progress(done)
            }
            query.cursor = page.nextCursor
        } while query.cursor != nil
        return report
    }

    /// Holds the source's right to write meanwhile: nothing may be added behind what is copied.
    private func copy(_ id: SessionID, of owner: Owner) async -> Outcome {
        do throws(StoreError) {
            _ = try await source.open(id)
            let outcome: Result<Outcome, StoreError>
            do throws(StoreError) {
                outcome = .success(try await copyOpened(id, owner))
            } catch {
                outcome = .failure(error)
            }
            await source.close(id)
            return try outcome.get()
        } catch {
            return .failed(error.code, error.message)
        }
    }

    private func copyOpened(_ id: SessionID, _ owner: Owner) async throws(StoreError) -> Outcome {
        // Opened, a file may have been mended: what counts is what it is now.
        let bytes = try await source.export(id).bytes()
        do throws(StoreError) {
            return try await target.export(id).bytes() == bytes ? .same : .differs
        } catch {
            guard error.code == .notFound else { throw error }
        }
        try await target.create(
            try SessionFile(stored: bytes, as: id, SessionFile.Limits(maxLineBytes: .max)), owner: owner)
        await target.close(id)
        return try await target.export(id).bytes() == bytes ? .copied : .differs
    }
}
