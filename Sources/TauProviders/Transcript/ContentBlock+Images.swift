internal import TauCore

extension ModelDescription {
    var takesImages: Bool { inputs.contains(.image) }
}

extension [ContentBlock] {
    var images: [ImageBlock] { compactMap { if case .image(let image) = $0 { image } else { nil } } }

    /// The texts of all text blocks, one under the other.
    var joinedText: String { compactMap(\.text).joined(separator: "\n") }

    /// What a model that may not see images is given: the rest, or a note where nothing would be left.
    func sendable(to model: ModelDescription) -> [ContentBlock] {
        let kept = filter { block in
            switch block {
            case .text(let text): !text.text.isBlank
            case .image: model.takesImages
            case .thinking, .toolCall: false
            }
        }
        guard kept.isEmpty, !images.isEmpty else { return kept }
        return [.text("(image omitted: this model takes no images)")]
    }
}
