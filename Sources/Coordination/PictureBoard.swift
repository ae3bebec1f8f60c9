import Messages

/// A worker says of a picture that it does not decode. That counts once the coordinator has looked at the file itself, and
/// no result comes that rests on such a word before: the next picture stands in for one that does not decode, so a
/// worker whose decoder is broken, or that lies, would train on another. One picture is looked at after the other; what
/// waits is what is said in results that wait, and a few leases given back.
struct PictureAccusation: Sendable {
  let peer: PeerID
  /// In the order in which it met them.
  let pictures: [Int]
}

/// Pictures that others take the places of, and those of which somebody says so.
struct PictureBoard: Sendable {
  /// Pictures that the coordinator itself found not to decode: counted once, however often they are met.
  private(set) var undecodable: Set<Int>
  /// By picture that is lost: the first step without it.
  private(set) var lost: [Int: Int]
  /// The first of both, named.
  private(set) var names: [String]
  /// What leases were given back for, not looked at yet; at most `CoordinationLimits.accusations`.
  private(set) var accusations: [PictureAccusation] = []
  /// The picture that the process looks at.
  var inExamination: Int?
  var examineNotBefore: Instant
  /// When people may be told again of what is in the way and may pass.
  var complainNotBefore: Instant

  init(_ settings: PictureSettings, at now: Instant) {
    undecodable = settings.undecodable
    lost = Dictionary(settings.lost.map { ($0.picture, $0.step) }) { min($0, $1) }
    names = settings.undecodable.sorted().prefix(CoordinationLimits.undecodableNamed).map(settings.name)
    examineNotBefore = now
    complainNotBefore = now
  }

  func isLost(_ picture: Int, in step: Int) -> Bool { lost[picture].map { $0 <= step } ?? false }

  /// Those without which a step is computed, ascending.
  func lost(in step: Int) -> [Int] { lost.isEmpty ? [] : lost.filter { $0.value <= step }.keys.sorted() }

  /// Whether another picture takes its place in a step.
  func isPassedOver(_ picture: Int, in step: Int) -> Bool { undecodable.contains(picture) || isLost(picture, in: step) }

  /// Pictures that others take the places of, now or in a later step.
  var passedOverCount: Int { undecodable.count + lost.keys.count { !undecodable.contains($0) } }
}

// MARK: - What is found out

extension PictureBoard {
  /// - Returns: whether it was not known.
  mutating func foundUndecodable(_ picture: Int) -> Bool { undecodable.insert(picture).inserted }

  /// From this step on the run goes without them.
  mutating func lose(_ pictures: [Int], from step: Int) { for picture in pictures { lost[picture] = step } }

  /// What is lost is only this.
  mutating func restore(_ lost: [Int: Int]) { self.lost = lost }

  /// Names one, if it is among the first.
  mutating func name(_ name: String) {
    if names.count < CoordinationLimits.undecodableNamed { names.append(name) }
  }

  /// Takes an accusation in, if there is room.
  mutating func accuse(_ accusation: PictureAccusation) {
    if accusations.count < CoordinationLimits.accusations { accusations.append(accusation) }
  }

  /// Lets accusations go of which nothing is left to find out.
  mutating func dropSettled(in step: Int) {
    guard !accusations.isEmpty else { return }
    accusations = accusations.filter { !$0.pictures.allSatisfy { isPassedOver($0, in: step) } }
  }

  /// A picture decodes.
  /// - Returns: who said that it does not.
  mutating func acquit(_ picture: Int) -> [PeerID] {
    let accusers = accusations.filter { $0.pictures.contains(picture) }.map(\.peer)
    accusations.removeAll { $0.pictures.contains(picture) }
    return accusers
  }
}
