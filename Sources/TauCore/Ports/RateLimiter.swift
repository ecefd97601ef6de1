/// Keeps somebody from asking too often.
public protocol RateLimiter: Sendable {
    /// Counts one request of `subject`, unless it is one too many. Requests of different policies are counted apart.
    func admit(_ subject: String, under policy: RatePolicy) async -> RateDecision
}

/// How many requests are one too many.
public struct RatePolicy: Hashable, Sendable {
    /// As answers call it: letters and '-'.
    public var name: String
    /// Requests in a window; they may come at once.
    public var requests: Int
    public var windowSeconds: Int

    /// Both numbers are at least 1.
    public init(name: String, requests: Int, windowSeconds: Int) {
        precondition(requests > 0 && windowSeconds > 0, "Invariant: a policy allows something")
        self.name = name
        self.requests = requests
        self.windowSeconds = windowSeconds
    }

    /// A part of it, at least one request.
    public func share(_ part: Double) -> RatePolicy {
        RatePolicy(
            name: name, requests: max(1, Int(Double(requests) * part)), windowSeconds: windowSeconds)
    }
}

/// What became of one request.
public struct RateDecision: Hashable, Sendable {
    public var isAdmitted: Bool
    /// Requests that would be admitted now.
    public var remaining: Int
    /// Nanoseconds until all requests of the policy are there again.
    public var resetNanoseconds: Int64
    /// Nanoseconds until the next request is admitted; 0 where it is now.
    public var retryNanoseconds: Int64

    public init(isAdmitted: Bool, remaining: Int, resetNanoseconds: Int64, retryNanoseconds: Int64) {
        self.isAdmitted = isAdmitted
        self.remaining = remaining
        self.resetNanoseconds = resetNanoseconds
        self.retryNanoseconds = retryNanoseconds
    }
}
