extension Charge {
    /// What a session knows of a call of which the ledger never heard: its answer, which became durable before the server died that
    /// should have charged it. Nil where there is none, so that nobody knows what was used.
    ///
    /// The answer is the first message that came after the call had begun, or after the message with which its hold was taken: that one has
    /// the charge's time. Another one means that somebody went on without it.
    public func found(in tree: SessionTree) -> Charge? {
        let later = tree.entries.lazy.filter { ($0.timestamp ?? time) >= time && $0.messageJSON != nil }
        let prompt = later.firstIndex { entry in
            if case .message(let message) = entry.body {
                message.role == .user && message.timestamp == time
            } else {
                false
            }
        }
        let answer = prompt.map { later[$0...].dropFirst().first } ?? later.first { ($0.timestamp ?? time) > time }
        guard let json = answer?.messageJSON.flatMap({ try? JSONValue(parsing: $0) }),
            case .assistant(let answer)? = Message(json: json), answer.model == model, answer.usage.totalTokens > 0,
            // A file may claim any cost.
            let nanoDollars = Int(exactly: ((answer.usage.cost?.total ?? 0) * 1e9).rounded()), nanoDollars >= 0
        else { return nil }
        var charge = self
        (charge.input, charge.output) = (answer.usage.input, answer.usage.output)
        (charge.cacheRead, charge.cacheWrite) = (answer.usage.cacheRead, answer.usage.cacheWrite)
        charge.nanoDollars = nanoDollars
        charge.isEstimated = false
        return charge
    }
}
