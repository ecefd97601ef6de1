package import TauCore

/// What the scripted provider answers.
///
/// As JSON, everything but `replies` and `content` may be left out:
/// ```json
/// {
///   "loop": false,
///   "chunkSize": 16, "chunkDelayMs": 0, "delayMs": 0,
///   "replies": [
///     {
///       "when": { "contains": "weather" },
///       "content": [
///         { "type": "thinking", "thinking": "…", "signature": "…" },
///         { "type": "text", "text": "…" },
///         { "type": "toolCall", "id": "call_1", "name": "read", "arguments": { "path": "a.txt" } }
///       ],
///       "stopReason": "toolUse",
///       "usage": { "input": 10, "output": 5, "cacheRead": 0, "cacheWrite": 0 },
///       "delayMs": 100, "chunkDelayMs": 20, "chunkSize": 4,
///       "errorBefore": { "code": "rateLimited", "message": "…", "retryAfter": 1.5, "times": 2 },
///       "errorAfterEvents": { "events": 3, "code": "network", "message": "…" }
///     }
///   ]
/// }
/// ```
/// - `content` may be a string. A call may have `argumentsText` in place of `arguments`, also text that is not JSON.
/// - `stopReason` is `stop`, `length` or `toolUse`; it follows from the content where it is left out.
/// - `usage` is estimated where it is left out: a token for every four UTF-16 units.
/// - Delays are milliseconds: `delayMs` before the first event, `chunkDelayMs` before each piece of `chunkSize`
///   characters. A reply's own values win over the script's.
/// - `errorBefore` fails at once, `errorAfterEvents` after so many events; as a bare number it means a broken
///   connection. Codes are those of `ProviderError.Code`. With `times` only the first calls for the same place of a
///   conversation fail, and the next one gets the reply.
///
/// Nothing else is remembered between calls, so that any number of sessions may run at once: the conversation itself says
/// which reply is next. Replies with `when` answer user messages that contain the text (no matter which case), one
/// after the other as the turns of that message go on. Whatever they do not answer gets the replies without `when`:
/// the n-th answer of a conversation is the n-th of them. After the last one it is repeated, or with `loop` they begin
/// again; where there are none, the built-in demonstration answers.
package struct Script: Sendable, Hashable {
    /// One part of a reply.
    package enum Block: Sendable, Hashable {
        case text(String)
        case thinking(String, signature: String?)
        /// An id is made up where there is none.
        case toolCall(id: String?, name: String, arguments: String)
    }

    /// A failure in the middle of a reply.
    package struct Failure: Sendable, Hashable {
        package var afterEvents: Int
        package var code: ProviderError.Code
        package var message: String
        package var retryAfter: Double?
        /// How often it happens in the same place of a conversation; nil for always.
        package var times: Int?

        package init(
            afterEvents: Int, code: ProviderError.Code, message: String, retryAfter: Double? = nil, times: Int? = nil
        ) {
            self.times = times
            self.afterEvents = afterEvents
            self.code = code
            self.message = message
            self.retryAfter = retryAfter
        }
    }

    /// One answer of the model.
    package struct Reply: Sendable, Hashable {
        /// The reply is for user messages with this in them.
        package var contains: String?
        package var content: [Block]
        package var stopReason: StopReason
        /// Nil for an estimate.
        package var usage: Usage?
        package var delay = Duration.zero
        package var chunkDelay = Duration.zero
        /// Characters in one piece.
        package var chunkSize = 16
        /// Zero events for a failure before anything is sent.
        package var failure: Failure?

        package init(content: [Block]) {
            self.content = content
            let hasCalls = content.contains { if case .toolCall = $0 { true } else { false } }
            stopReason = hasCalls ? .toolUse : .stop
        }

        package init(_ text: String) { self.init(content: [.text(text)]) }
    }

    package var replies: [Reply]
    /// Begin again after the last reply, in place of repeating it.
    package var loops: Bool

    package init(replies: [Reply], loops: Bool = false) {
        self.replies = replies
        self.loops = loops
    }

    /// The reply to a conversation, or nil if the script has none for it.
    func reply(to messages: [Message]) -> Reply? {
        let state = ConversationState(messages)
        let text = state.lastUserText.lowercased()
        let matching = replies.filter { $0.contains.map { text.contains($0.lowercased()) } ?? false }
        if state.turn < matching.count { return matching[state.turn] }
        let ordered = replies.filter { $0.contains == nil }
        guard !ordered.isEmpty else { return nil }
        let index = loops ? state.answerCount % ordered.count : min(state.answerCount, ordered.count - 1)
        return ordered[index]
    }
}

/// Where a conversation stands.
struct ConversationState {
    private(set) var lastUserText = ""
    private(set) var lastUserTime = Timestamp(milliseconds: 0)
    /// Answers since the last message of the user.
    private(set) var turn = 0
    /// Answers in all.
    private(set) var answerCount = 0
    /// The results of the last answer's tool calls.
    private(set) var results: [ToolResultMessage] = []

    init(_ messages: [Message]) {
        let isAnswer = { (message: Message) in if case .assistant = message { true } else { false } }
        let isUser = { (message: Message) in if case .user = message { true } else { false } }
        answerCount = messages.count(where: isAnswer)
        let lastUser = messages.lastIndex(where: isUser)
        turn = messages[(lastUser ?? 0)...].count(where: isAnswer)
        let last = messages.lastIndex { isAnswer($0) || isUser($0) } ?? -1
        for case .toolResult(let result) in messages[(last + 1)...] { results.append(result) }
        if let lastUser, case .user(let message) = messages[lastUser] {
            lastUserText = message.content.joinedText
            lastUserTime = message.timestamp
        }
    }
}
