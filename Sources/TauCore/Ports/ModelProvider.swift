/// A way to speak to language models of one API.
///
/// One call of `stream` is one model call. It runs in the caller's task and returns once the answer is complete; it
/// reports what arrives to `sink`, in order and never after it has returned. What was reported before a failure stays
/// part of the answer. Cancelling the task closes the connection to the model and ends in `ProviderError.cancelled`.
public protocol ModelProvider: Sendable {
    /// The name that model references begin with, such as `anthropic`.
    var name: String { get }

    /// Model calls that the provider takes at a time, all runs of this server together; nil where it sets no bound of its own.
    var maxConcurrentCalls: Int? { get }

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply
}

extension ModelProvider {
    public var maxConcurrentCalls: Int? { nil }
}

/// What a model is asked.
public struct ModelRequest: Sendable {
    public var model: ModelDescription
    public var systemPrompt: String?
    /// User, assistant and tool result messages; system messages are folded into `systemPrompt` before.
    public var messages: [Message]
    public var tools: [ToolDefinition]
    public var thinkingLevel: ThinkingLevel
    /// Tokens of the answer; nil for the provider's choice within the model's limit.
    public var maxOutputTokens: Int?
    /// Steady over a session, so that a provider can keep its prompt cache warm.
    public var sessionID: SessionID

    public init(
        model: ModelDescription, systemPrompt: String? = nil, messages: [Message], tools: [ToolDefinition] = [],
        thinkingLevel: ThinkingLevel = .off, maxOutputTokens: Int? = nil, sessionID: SessionID
    ) {
        self.model = model
        self.systemPrompt = systemPrompt
        self.messages = messages
        self.tools = tools
        self.thinkingLevel = thinkingLevel
        self.maxOutputTokens = maxOutputTokens
        self.sessionID = sessionID
    }
}

/// One step of a streamed answer. Blocks are numbered by `index`, from 0, in the order of the finished message;
/// several may be open at once.
public enum ModelEvent: Sendable, Equatable {
    case textStart(index: Int)
    case textDelta(index: Int, String)
    case textEnd(index: Int, signature: String? = nil)
    case thinkingStart(index: Int)
    case thinkingDelta(index: Int, String)
    case thinkingEnd(index: Int, signature: String? = nil, isRedacted: Bool = false)
    case toolCallStart(index: Int, id: String, name: String)
    /// A piece of the arguments' JSON text.
    case toolCallDelta(index: Int, String)
    /// The arguments are the text of the deltas, parsed; a text that is no JSON object gives no arguments.
    case toolCallEnd(index: Int, thoughtSignature: String? = nil)
    /// Tokens counted so far; replaces what was reported before.
    case usage(Usage)
}

extension ModelEvent {
    /// Whether it adds a piece to a block.
    package var isDelta: Bool {
        switch self {
        case .textDelta, .thinkingDelta, .toolCallDelta: true
        case .textStart, .textEnd, .thinkingStart, .thinkingEnd, .toolCallStart, .toolCallEnd, .usage: false
        }
    }
}

/// How a complete answer ended.
public struct ModelReply: Sendable, Equatable {
    /// `stop`, `length` or `toolUse`; the other reasons are errors.
    public var stopReason: StopReason
    /// The provider's id of the answer.
    public var responseID: String?

    public init(stopReason: StopReason, responseID: String? = nil) {
        self.stopReason = stopReason
        self.responseID = responseID
    }
}

/// Why a model call failed. The message may be shown to users and is stored in the session: no keys, no headers.
public struct ProviderError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// Too many requests; `retryAfter` may say when to try again.
        case rateLimited = "rate_limited"
        /// The provider cannot take the request now.
        case overloaded
        /// The prompt does not fit into the model's window.
        case contextTooLong = "context_too_long"
        /// The provider declined to answer (safety, policy).
        case refused
        /// The request is wrong; the same request will fail again.
        case badRequest = "bad_request"
        case unauthorized
        /// No more money or quota with the provider.
        case quotaExceeded = "quota_exceeded"
        /// The connection failed, or the stream broke off.
        case network
        case timedOut = "timed_out"
        /// The provider answered what its API does not say.
        case malformed
        case cancelled
        /// The caller's budget does not suffice, so that the model was not asked.
        case budgetExceeded = "budget_exceeded"
        /// Nobody can tell whether the budget suffices, so that the model was not asked.
        case ledgerUnavailable = "ledger_unavailable"
    }

    public var code: Code
    public var message: String
    /// Seconds that the server asked to wait.
    public var retryAfter: Double?

    public init(_ code: Code, _ message: String, retryAfter: Double? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    public var description: String { message }

    /// Whether the same request may succeed a little later, or with another provider now.
    public var isOutage: Bool {
        switch code {
        case .rateLimited, .overloaded, .network, .timedOut, .malformed: true
        case .contextTooLong, .refused, .badRequest, .unauthorized, .quotaExceeded, .cancelled, .budgetExceeded,
            .ledgerUnavailable:
            false
        }
    }
}

/// Which models there are, and who speaks to them.
public protocol ModelCatalog: Sendable {
    /// Every known model, and whether it can be used now (a key is set, a provider is configured).
    var listings: [ModelListing] { get }

    /// The model that a reference names (a model that the catalogue does not list may still be usable), or nil.
    func model(_ reference: ModelReference) -> ModelDescription?

    /// The model for a message where the caller left the choice to Tau; nil where no model can be used at all.
    func choose(for task: ModelTask) -> ModelSelection?

    func provider(named name: String) -> (any ModelProvider)?
}

/// What the choice of a model depends on.
public struct ModelTask: Sendable {
    public var message: UserMessage
    /// The tools that the session asks for by name.
    public var toolNames: [String]
    /// Tokens of the branch before the message.
    public var branchTokens: Int

    public init(message: UserMessage, toolNames: [String] = [], branchTokens: Int = 0) {
        self.message = message
        self.toolNames = toolNames
        self.branchTokens = branchTokens
    }
}

/// A model that Tau has chosen.
public struct ModelSelection: Sendable {
    public var model: ModelDescription
    /// Why this one; nil where there was nothing to choose, because one model is configured for everything.
    public var choice: AutomaticChoice?
    /// The models that take over, in this order, when the one before is overloaded or out.
    public var fallbacks: [ModelDescription]

    public init(model: ModelDescription, choice: AutomaticChoice? = nil, fallbacks: [ModelDescription] = []) {
        self.model = model
        self.choice = choice
        self.fallbacks = fallbacks
    }
}

/// How a message was judged, as the run and the session's model change show it.
public struct AutomaticChoice: Sendable, Hashable {
    /// `simple`, `medium` or `complex`.
    public var tier: String
    /// For people.
    public var reason: String

    public init(tier: String, reason: String) {
        self.tier = tier
        self.reason = reason
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("tier", tier)
            writer.member("reason", reason)
        }
    }

    /// Reads what `write` has written.
    public init?(json: JSONValue?) {
        guard let tier = json?["tier"]?.string else { return nil }
        self.init(tier: tier, reason: json?["reason"]?.string ?? "")
    }
}

public struct ModelListing: Sendable {
    public var model: ModelDescription
    public var isAvailable: Bool

    public init(model: ModelDescription, isAvailable: Bool) {
        self.model = model
        self.isAvailable = isAvailable
    }
}
