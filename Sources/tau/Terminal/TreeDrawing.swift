internal import TauCore

/// A session's tree as lines of text. A chain goes straight down; only where branches part it is indented.
struct TreeDrawing {
    private struct Node {
        var json: JSONValue
        var children: [Int] = []
    }

    private var nodes: [Node]
    private var roots: [Int] = []
    private let leafID: String?

    /// Reads the API's tree.
    init(_ tree: JSONValue) {
        leafID = tree["leafId"]?.string
        nodes = (tree["nodes"]?.array ?? []).map { Node(json: $0) }
        var places: [String: Int] = [:]
        for (place, node) in nodes.enumerated() {
            let parent = node.json["parentId"]?.string.flatMap { places[$0] }
            if let parent { nodes[parent].children.append(place) } else { roots.append(place) }
            if let id = node.json["id"]?.string { places[id] = place }
        }
    }

    var lines: [String] {
        var lines: [String] = []
        // A stack of its own: a session may be deeper than the call stack.
        var stack: [(place: Int, prefix: String, mark: String)] = roots.reversed().map { ($0, "", "") }
        while let (place, prefix, mark) = stack.popLast() {
            lines.append(prefix + mark + line(nodes[place].json))
            let children = nodes[place].children
            let below: String
            switch mark {
            case "├─ ": below = prefix + "│  "
            case "└─ ": below = prefix + "   "
            default: below = prefix
            }
            guard children.count > 1 else {
                stack += children.map { ($0, below, "") }
                continue
            }
            for (index, child) in children.enumerated().reversed() {
                stack.append((child, below, index == children.count - 1 ? "└─ " : "├─ "))
            }
        }
        return lines
    }

    private func line(_ node: JSONValue) -> String {
        let id = node["id"]?.string ?? ""
        let kind = node["role"]?.string ?? node["type"]?.string ?? ""
        var text = "\(Terminal.styled(Terminal.line(id, 36), .dim)) \(Terminal.styled(Terminal.line(kind, 30), .cyan))"
        let preview = Terminal.line(node["preview"]?.string ?? "", 80)
        if !preview.isEmpty { text += " \(preview)" }
        if let label = node["label"]?.string { text += Terminal.styled(" [\(Terminal.line(label, 40))]", .bold) }
        if id == leafID { text += Terminal.styled(" ←", .green) }
        return text
    }
}
