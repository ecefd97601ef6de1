internal import Synchronization
internal import TauCore

/// How many event streams each owner has open at once on this server.
final class StreamPlaces: Sendable {
    private let maxPerOwner: Int
    private let counts = Mutex<[Owner: Int]>([:])

    init(maxPerOwner: Int) { self.maxPerOwner = maxPerOwner }

    /// A place that is given back when nobody holds it any more.
    final class Place: Sendable {
        private let places: StreamPlaces
        private let owner: Owner

        fileprivate init(_ places: StreamPlaces, _ owner: Owner) {
            self.places = places
            self.owner = owner
        }

        deinit { places.giveBack(owner) }
    }

    /// Streams that are open now.
    var count: Int { counts.withLock { $0.values.reduce(0, +) } }

    func take(for owner: Owner) throws(Problem) -> Place {
        let isFree = counts.withLock { counts in
            // The one who runs the server has as many as there are connections.
            guard owner == .local || counts[owner, default: 0] < maxPerOwner else { return false }
            counts[owner, default: 0] += 1
            return true
        }
        guard isFree else {
            throw Problem(
                .rateLimited, "You have \(maxPerOwner) event streams open already. Close one, and try again.",
                retryAfter: 1)
        }
        return Place(self, owner)
    }

    private func giveBack(_ owner: Owner) {
        counts.withLock { counts in
            let left = counts[owner, default: 1] - 1
            counts[owner] = left > 0 ? left : nil
        }
    }
}
