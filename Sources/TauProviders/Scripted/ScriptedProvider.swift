internal import Synchronization
package import TauCore

/// A model that follows a script: for demonstrations, tests and work without a network.
package struct ScriptedProvider: ModelProvider {
    /// The name of the provider and of its API.
    package static let name = "scripted"
    static let api = "scripted"

    private let script: Script?
    private let clock: any Clock<Duration>
    private let failures = FailureCounts()

    /// Makes a provider with a script, or with nil one that gives the built-in demonstration.
    package init(script: Script? = nil, clock: any Clock<Duration> = ContinuousClock()) {
        self.script = script
        self.clock = clock
    }

    package var name: String { Self.name }

    package func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        let reply = script?.reply(to: request.messages) ?? Demonstration.reply(to: request)
        try await wait(reply.delay)
        let state = ConversationState(request.messages)
        // The same for the same conversation, and different everywhere else.
        let seed = "\(request.sessionID) \(state.lastUserTime.milliseconds) \(state.answerCount)"
        let counted = reply.usage ?? Self.estimate(request, reply)
        let events = Self.events(of: reply, seed: seed)
        let failure = reply.failure.flatMap { failures.isDue($0, at: seed) ? $0 : nil }
        for (count, event) in events.enumerated() {
            if let failure, count == failure.afterEvents { throw ProviderError(failure) }
            if count == 0 { sink(.usage(Self.usage(counted, output: 0, request.model.prices))) }
            if event.isDelta { try await wait(reply.chunkDelay) }
            guard !Task.isCancelled else { throw Self.cancelled }
            sink(event)
        }
        if let failure { throw ProviderError(failure) }
        sink(.usage(Self.usage(counted, output: counted.output, request.model.prices)))
        return ModelReply(stopReason: reply.stopReason, responseID: "scripted-" + ShortHash.of(seed))
    }

    private static let cancelled = ProviderError(.cancelled, "The model call was cancelled.")

    private func wait(_ duration: Duration) async throws(ProviderError) {
        guard !Task.isCancelled else { throw Self.cancelled }
        guard duration > .zero else { return }
        do {
            try await clock.sleep(for: duration)
        } catch {
            throw Self.cancelled
        }
    }

    // MARK: Events

    private static func events(of reply: Script.Reply, seed: String) -> [ModelEvent] {
        var events: [ModelEvent] = []
        func add(_ start: ModelEvent, _ text: String, _ delta: (String) -> ModelEvent, _ end: ModelEvent) {
            events.append(start)
            events += text.pieces(of: reply.chunkSize).map(delta)
            events.append(end)
        }
        for (index, block) in reply.content.enumerated() {
            switch block {
            case .text(let text):
                add(.textStart(index: index), text, { .textDelta(index: index, $0) }, .textEnd(index: index))
            case .thinking(let text, let signature):
                add(
                    .thinkingStart(index: index), text, { .thinkingDelta(index: index, $0) },
                    .thinkingEnd(index: index, signature: signature))
            case .toolCall(let id, let name, let arguments):
                let id = id ?? "call_" + ShortHash.of("\(seed) \(index)")
                add(
                    .toolCallStart(index: index, id: id, name: name), arguments,
                    { .toolCallDelta(index: index, $0) }, .toolCallEnd(index: index))
            }
        }
        return events
    }

    // MARK: Usage

    private static func usage(_ counted: Usage, output: Int, _ prices: Prices?) -> Usage {
        var usage = Usage(
            input: counted.input, output: output, cacheRead: counted.cacheRead, cacheWrite: counted.cacheWrite,
            cost: nil)
        usage.cost = prices?.cost(of: usage)
        return usage
    }

    private static func estimate(_ request: ModelRequest, _ reply: Script.Reply) -> Usage {
        let input = (request.systemPrompt?.utf16Length ?? 0) + request.messages.reduce(0) { $0 + $1.utf16Count }
        let output = reply.content.reduce(0) { $0 + $1.utf16Count }
        return Usage(input: (input + 3) / 4, output: (output + 3) / 4)
    }
}

/// How often calls for the same place of a conversation have failed.
private final class FailureCounts: Sendable {
    /// Beyond that the counting begins anew.
    private static let maxPlaces = 10_000
    private let counts = Mutex<[String: Int]>([:])

    func isDue(_ failure: Script.Failure, at place: String) -> Bool {
        guard let times = failure.times else { return true }
        return counts.withLock { counts in
            let count = counts[place, default: 0]
            guard count < times else { return false }
            if counts.count >= Self.maxPlaces { counts = [:] }
            counts[place] = count + 1
            return true
        }
    }
}

extension ProviderError {
    fileprivate init(_ failure: Script.Failure) {
        self.init(failure.code, failure.message, retryAfter: failure.retryAfter)
    }
}

extension String {
    /// The text in pieces of so many characters.
    fileprivate func pieces(of size: Int) -> [String] {
        var pieces: [String] = []
        var rest = self[...]
        while !rest.isEmpty {
            pieces.append(String(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return pieces
    }
}

extension Script.Block {
    fileprivate var utf16Count: Int {
        switch self {
        case .text(let text), .thinking(let text, _): text.utf16Length
        case .toolCall(_, let name, let arguments): name.utf16Length + arguments.utf16Length
        }
    }
}

extension Message {
    fileprivate var utf16Count: Int {
        switch self {
        case .system(let message): message.text.utf16Length
        case .user(let message): message.content.utf16Count
        case .assistant(let message): message.content.utf16Count
        case .toolResult(let message): message.content.utf16Count
        }
    }
}

extension [ContentBlock] {
    fileprivate var utf16Count: Int {
        reduce(0) { sum, block in
            switch block {
            case .text(let text): sum + text.text.utf16Length
            case .thinking(let thinking): sum + thinking.thinking.utf16Length
            case .toolCall(let call): sum + call.name.utf16Length + JSONValue.object(call.arguments).text.utf16Length
            case .image: sum
            }
        }
    }
}
