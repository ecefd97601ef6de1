internal import TauCore

extension FairQueue {
    /// Takes a place for a tool's work, which must be given back with `leave`.
    func enterForTool(_ owner: Owner) async throws(ToolFailure) {
        do throws(Refusal) {
            try await enter(owner)
        } catch {
            switch error {
            case .cancelled: throw .aborted
            case .full: throw ToolFailure(.unavailable, "Too many calls are waiting; try again later")
            }
        }
    }
}
