internal import TauCore

/// Makes a conversation fit for a model that did not write all of it.
///
/// What only its author understands (signatures, hidden thinking, ids) is turned into plain text or left out, failed
/// answers go, and each tool call has exactly one result right behind it, as the APIs demand.
struct TranscriptTransform {
    let api: String
    let model: ModelReference
    let idRule: ToolCallIDRule

    static func messages(of request: ModelRequest, idRule: ToolCallIDRule) -> [Message] {
        TranscriptTransform(api: request.model.api, model: request.model.reference, idRule: idRule)
            .apply(to: request.messages)
    }

    func apply(to messages: [Message]) -> [Message] { Self.pairResults(translate(messages)) }

    // MARK: Blocks and ids

    private func translate(_ messages: [Message]) -> [Message] {
        // By the ids that the authors gave.
        var ids: [String: String] = [:]
        return messages.compactMap { message in
            switch message {
            case .system: return nil
            case .user: return message
            case .assistant(var assistant):
                let isOwn = assistant.api == api && assistant.model == model
                assistant.content = assistant.content.compactMap { translate($0, isOwn: isOwn, &ids) }
                return .assistant(assistant)
            case .toolResult(var result):
                result.toolCallID = ids[result.toolCallID] ?? result.toolCallID
                return .toolResult(result)
            }
        }
    }

    private func translate(_ block: ContentBlock, isOwn: Bool, _ ids: inout [String: String]) -> ContentBlock? {
        switch block {
        case .thinking(let thinking):
            if thinking.isRedacted { return isOwn ? block : nil }
            if isOwn, thinking.signature?.isEmpty == false { return block }
            guard !thinking.thinking.isBlank else { return nil }
            return isOwn ? block : .text(thinking.thinking)
        case .text(let text): return isOwn ? block : .text(text.text)
        case .image: return block
        case .toolCall(var call):
            guard !isOwn || !idRule.accepts(call.id) else {
                // Whatever another author may have meant by it before.
                ids[call.id] = call.id
                return block
            }
            if !isOwn { call.thoughtSignature = nil }
            let id = uniqueID(for: call.id, ids)
            ids[call.id] = id
            call.id = id
            return .toolCall(call)
        }
    }

    /// Two ids must not become one, or their results would change places.
    private func uniqueID(for id: String, _ ids: [String: String]) -> String {
        let normalized = idRule.normalized(id)
        guard ids.contains(where: { $0.value == normalized && $0.key != id }) else { return normalized }
        if idRule.isExact { return idRule.hashed("\(id) \(ids.count)") }
        let hash = ShortHash.of(id)
        return normalized.prefix(idRule.maxLength - hash.utf8.count - 1) + "_" + hash
    }

    // MARK: Results

    /// Drops failed answers and results without a call; a call that has no result gets one that says so.
    private static func pairResults(_ messages: [Message]) -> [Message] {
        var paired: [Message] = []
        paired.reserveCapacity(messages.count)
        var open: [ToolCall] = []
        var openedAt = Timestamp(milliseconds: 0)
        func close() {
            for call in open { paired.append(.toolResult(missingResult(of: call, at: openedAt))) }
            open = []
        }
        for message in messages {
            switch message {
            case .system: continue
            case .user:
                close()
                paired.append(message)
            case .assistant(let assistant):
                guard assistant.stopReason != .error, assistant.stopReason != .aborted else { continue }
                close()
                paired.append(message)
                open = assistant.toolCalls
                openedAt = assistant.timestamp
            case .toolResult(let result):
                guard let index = open.firstIndex(where: { $0.id == result.toolCallID }) else { continue }
                open.remove(at: index)
                paired.append(message)
            }
        }
        return paired
    }

    private static func missingResult(of call: ToolCall, at time: Timestamp) -> ToolResultMessage {
        ToolResultMessage(
            toolCallID: call.id, toolName: call.name, content: [.text("No result provided")], isError: true,
            timestamp: time)
    }
}

extension String {
    /// Nothing but white space.
    var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
