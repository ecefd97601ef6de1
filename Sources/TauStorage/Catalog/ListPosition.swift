internal import TauCore

/// A place in the list of sessions, newest first; sessions of one moment are ordered by id.
struct ListPosition {
    var time: Int64
    var id: String

    init(_ summary: SessionSummary, _ order: SessionQuery.Order) {
        time = (order == .updatedAt ? summary.updatedAt : summary.createdAt).milliseconds
        id = summary.id.rawValue
    }

    init?(_ text: String) {
        guard let dot = text.firstIndex(of: "."), let time = Int64(text[..<dot]) else { return nil }
        self.time = time
        id = String(text[text.index(after: dot)...])
    }

    var text: String { "\(time).\(id)" }
}
