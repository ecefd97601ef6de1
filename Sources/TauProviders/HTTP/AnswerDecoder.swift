internal import TauCore
internal import TauWire

/// Makes the steps of an answer out of the server-sent events of one API. It knows no network.
protocol AnswerDecoder {
    /// The API's last event has come; what may follow is of no interest.
    var isComplete: Bool { get }
    /// Nothing of the answer is missing, though the API's last event may be.
    var canFinish: Bool { get }

    mutating func decode(_ event: ServerSentEvent, to sink: (ModelEvent) -> Void) throws(ProviderError)

    /// Called once, when the answer is complete or the stream has ended; a stream that broke off is an error.
    mutating func finish(to sink: (ModelEvent) -> Void) throws(ProviderError) -> ModelReply
}

extension ProviderError {
    static func brokenStream(_ missing: String) -> ProviderError {
        ProviderError(.network, "The model's answer broke off: its stream ended before \(missing).")
    }

    static func unknownStop(_ reason: String) -> ProviderError {
        ProviderError(.malformed, "The model stopped for an unknown reason: \(reason.bounded(to: 100))")
    }

    static let refusal = ProviderError(.refused, "The model declined to answer.")
}

extension AnswerDecoder {
    /// The JSON object that is an event's data.
    static func object(_ event: ServerSentEvent) throws(ProviderError) -> JSONValue {
        do {
            let json = try JSONValue(parsing: event.data)
            if json.object != nil { return json }
        } catch {
            throw ProviderError(.malformed, "The model's answer holds an event that is not JSON: \(error)")
        }
        throw ProviderError(.malformed, "The model's answer holds an event that is no JSON object.")
    }
}

extension JSONValue {
    /// A count of tokens; a server's nonsense must not overflow a sum.
    var tokenCount: Int? {
        guard let number = double else { return nil }
        return Int(min(max(number, 0), 1e12))
    }

    /// The string, if it has any character.
    var nonEmptyString: String? { string.flatMap { $0.isEmpty ? nil : $0 } }
}

extension String {
    /// The start of the text, without control characters, for messages to people.
    func bounded(to count: Int) -> String {
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(count) {
            text.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return unicodeScalars.count > count ? String(text) + "…" : String(text)
    }
}
