/// The name that a caller has given to a request, so that it is carried out once however often it is sent.
public struct IdempotencyKey: Hashable, Sendable {
    public var owner: Owner
    /// 1 to 255 visible ASCII characters.
    public var text: String

    public init(owner: Owner, text: String) {
        self.owner = owner
        self.text = text
    }
}

/// One try at a request that may be sent again.
public struct RequestAttempt: Sendable, Equatable {
    /// What the request makes (a run, a session) gets this id, so that a later try finds it. A UUID of version 7.
    public var id: String
    /// When the request was first tried.
    public var time: Timestamp
    /// Whether a try before this one may have done it all: its server died, or never learned how its commit ended.
    public var isRepeat: Bool

    public init(id: String, time: Timestamp, isRepeat: Bool) {
        self.id = id
        self.time = time
        self.isRepeat = isRepeat
    }
}

/// What became of the wish to carry out a request.
public enum IdempotencyClaim: Sendable, Equatable {
    /// Nobody else does it. Until it is settled or released, the key is this server's.
    case granted(RequestAttempt)
    /// It was carried out, and answered with this.
    case answered([UInt8])
    /// Another server is at it.
    case inProgress
    /// The key was used for another request.
    case otherRequest
}

/// Which requests with a key were carried out, and how they were answered, on all servers and beyond restarts.
///
/// A server asks for one key only once at a time. What is older than `IdempotencyKey.lifetime` is forgotten.
public protocol IdempotencyStore: Sendable {
    /// Takes the key for this server; durable when this returns. `fingerprint` stands for all that the request says; `attempt` counts
    /// if the key is new.
    ///
    /// A key that this server or a dead one has taken and not settled is given again, as a repeat.
    func claim(
        _ key: IdempotencyKey, fingerprint: [UInt8], attempt: RequestAttempt
    ) async throws(StoreError) -> IdempotencyClaim

    /// The request was carried out, and answered with this. Does nothing where the key is another server's by now.
    func settle(_ key: IdempotencyKey, answer: [UInt8]) async throws(StoreError)

    /// The request was not answered. If it is certain that it was not carried out, the key is `forgotten`; else the next try, on
    /// whichever server, is a repeat.
    func release(_ key: IdempotencyKey, forgotten: Bool) async throws(StoreError)
}

extension IdempotencyKey {
    /// Milliseconds for which a key is remembered: 24 hours.
    public static let lifetime: Int64 = 24 * 3600 * 1000

    /// Keys that a store remembers unless it is told otherwise (`http.idempotencyKeys`); the oldest go first.
    public static let defaultMaxCount = 100_000
}
