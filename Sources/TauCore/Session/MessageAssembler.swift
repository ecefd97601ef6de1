/// Puts a streamed answer together, one event after the other.
public struct MessageAssembler: Sendable {
    private enum Block: Sendable {
        case text(TextBlock)
        case thinking(ThinkingBlock)
        case toolCall(ToolCall, argumentText: String)
    }

    /// By the index that the provider gave; a gap stays out of the message.
    private var blocks: [Int: Block] = [:]
    public private(set) var usage = Usage()

    public init() {}

    public mutating func apply(_ event: ModelEvent) {
        switch event {
        case .textStart(let index): blocks[index] = .text(TextBlock(text: ""))
        case .textDelta(let index, let delta):
            guard case .text(var block) = blocks.removeValue(forKey: index) ?? .text(TextBlock(text: "")) else {
                return
            }
            block.text += delta
            blocks[index] = .text(block)
        case .textEnd(let index, let signature):
            guard case .text(var block) = blocks[index] else { return }
            block.signature = signature
            blocks[index] = .text(block)
        case .thinkingStart(let index): blocks[index] = .thinking(ThinkingBlock(thinking: ""))
        case .thinkingDelta(let index, let delta):
            guard
                case .thinking(var block) = blocks.removeValue(forKey: index) ?? .thinking(ThinkingBlock(thinking: ""))
            else { return }
            block.thinking += delta
            blocks[index] = .thinking(block)
        case .thinkingEnd(let index, let signature, let isRedacted):
            guard case .thinking(var block) = blocks[index] else { return }
            block.signature = signature
            block.isRedacted = isRedacted
            blocks[index] = .thinking(block)
        case .toolCallStart(let index, let id, let name):
            blocks[index] = .toolCall(ToolCall(id: id, name: name, arguments: JSONObject()), argumentText: "")
        case .toolCallDelta(let index, let delta):
            guard case .toolCall(let call, var text) = blocks.removeValue(forKey: index) else { return }
            text += delta
            blocks[index] = .toolCall(call, argumentText: text)
        case .toolCallEnd(let index, let thoughtSignature):
            guard case .toolCall(var call, let text) = blocks[index] else { return }
            call.arguments = Self.arguments(text)
            call.thoughtSignature = thoughtSignature
            blocks[index] = .toolCall(call, argumentText: text)
        case .usage(let usage): self.usage = usage
        }
    }

    /// The tool call at an index, if there is one.
    public func toolCall(at index: Int) -> ToolCall? {
        guard case .toolCall(let call, _) = blocks[index] else { return nil }
        return call
    }

    /// The blocks so far, in their order. A call whose arguments have not ended has those that could be read, or none.
    public var content: [ContentBlock] {
        blocks.sorted { $0.key < $1.key }.map { _, block in
            switch block {
            case .text(let block): .text(block)
            case .thinking(let block): .thinking(block)
            case .toolCall(var call, let text):
                {
                    if call.arguments.members.isEmpty { call.arguments = Self.arguments(text) }
                    return .toolCall(call)
                }()
            }
        }
    }

    private static func arguments(_ text: String) -> JSONObject {
        (try? JSONValue(parsing: text))?.object ?? JSONObject()
    }
}
