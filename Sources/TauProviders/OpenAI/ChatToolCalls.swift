internal import TauCore

/// The tool calls of one streamed answer, whose pieces may arrive interleaved. They all end with the answer.
struct ChatToolCalls {
    private struct Call {
        let blockIndex: Int
        var id: String?
        var name: String?
        /// Pieces of the arguments that came before the name.
        var heldArguments = ""
        var hasStarted = false
        var signature: String?
        let fallbackID: String
    }

    private var calls: [Call] = []
    /// Places in `calls` by the index that the server gives.
    private var places: [Int: Int] = [:]

    var isEmpty: Bool { calls.isEmpty }

    mutating func append(
        _ delta: JSONView, nextIndex: inout Int, responseID: String?, to sink: (ModelEvent) -> Void
    ) {
        let id = delta["id"]?.nonEmptyString
        let name = delta["function"]?["name"]?.nonEmptyString
        let index = delta["index"]?.integer
        let place: Int
        if let known = knownPlace(index: index, id: id, name: name) {
            place = known
        } else {
            place = calls.count
            let fallbackID = "call_" + ShortHash.of("\(responseID ?? ""):\(place)")
            calls.append(Call(blockIndex: nextIndex, fallbackID: fallbackID))
            nextIndex += 1
            if let index { places[index] = place }
        }
        if !calls[place].hasStarted {
            calls[place].id = calls[place].id ?? id
            calls[place].name = calls[place].name ?? name
        }
        let arguments = Self.text(delta["function"]?["arguments"])
        guard calls[place].name != nil else {
            calls[place].heldArguments += arguments
            return
        }
        start(place, to: sink)
        if !arguments.isEmpty { sink(.toolCallDelta(index: calls[place].blockIndex, arguments)) }
    }

    mutating func setSignature(_ signature: String, ofCall id: String) {
        if let place = calls.firstIndex(where: { $0.id == id }) { calls[place].signature = signature }
    }

    mutating func finish(to sink: (ModelEvent) -> Void) {
        for place in calls.indices {
            start(place, to: sink)
            sink(.toolCallEnd(index: calls[place].blockIndex, thoughtSignature: calls[place].signature))
        }
    }

    /// The call that a piece belongs to, or nil if it begins one.
    private func knownPlace(index: Int?, id: String?, name: String?) -> Int? {
        guard let known = index == nil ? placeWithoutIndex(id: id) : index.flatMap({ places[$0] }) else { return nil }
        // Some servers give every call the same index; a new id with a name is a new call.
        let isOther = id != nil && name != nil && calls[known].id != nil && calls[known].id != id
        return isOther ? nil : known
    }

    private func placeWithoutIndex(id: String?) -> Int? {
        guard let id else { return calls.isEmpty ? nil : calls.count - 1 }
        return calls.firstIndex { $0.id == id }
    }

    private mutating func start(_ place: Int, to sink: (ModelEvent) -> Void) {
        guard !calls[place].hasStarted else { return }
        calls[place].hasStarted = true
        let call = calls[place]
        sink(.toolCallStart(index: call.blockIndex, id: call.id ?? call.fallbackID, name: call.name ?? ""))
        if !call.heldArguments.isEmpty { sink(.toolCallDelta(index: call.blockIndex, call.heldArguments)) }
    }

    /// A piece of text; some servers send the whole object instead.
    private static func text(_ arguments: JSONView?) -> String {
        guard let arguments else { return "" }
        return arguments.string ?? (arguments.isObject ? arguments.value.text : "")
    }
}
