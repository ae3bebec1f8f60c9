import Messages
import Slices

/// A picture that the coordinator can no longer read: from a step on another takes its place, as if it did not decode.
public struct LostPicture: Hashable, Sendable {
  /// Index in the data set.
  public var picture: Int
  /// The first step without it.
  public var step: Int

  public init(picture: Int, step: Int) {
    self.picture = picture
    self.step = step
  }
}

/// What the coordinator's own look at a picture's file came to.
public enum PictureVerdict: Hashable, Sendable {
  case decodes
  case undecodable(reason: String)
  /// It could not be looked at just now: nothing follows for the picture.
  case unavailable(reason: String)
}

// MARK: - What workers say of pictures

extension Coordinator {
  /// What is wrong with what a worker says of a lease's pictures; nil if it may have met them all: its slices' own, and
  /// those that stand in for one another.
  func problem(of reported: [UndecodablePicture], on slices: SliceRange) -> String? {
    guard !reported.isEmpty else { return nil }
    let count = settings.welcome.data.count
    var strays = Set(reported.map(\.picture))
    if let stray = strays.first(where: { !(0..<count ~= $0) }) { return "undecodable picture \(stray) of \(count)" }
    for picture in slices.indices.lazy.flatMap({ settings.pictures.ofSlice(step, $0) }) {
      var picture = picture
      // Where it was before, it went on from there too.
      while strays.remove(picture) != nil || pictures.isLost(picture, in: step) {
        picture = (picture + 1) % count
      }
      if strays.isEmpty { return nil }
    }
    return "undecodable picture \(strays.min() ?? 0), which \(described(slices)) cannot have met"
  }

  /// Whether nothing in a result rests on an unproven word about pictures.
  func isProven(_ finished: Finished) -> Bool {
    guard !finished.undecodable.isEmpty else { return true }
    // Not the coordinator in the closure: that costs a copy of all its references.
    let (pictures, step) = (pictures, step)
    return finished.undecodable.allSatisfy { pictures.isPassedOver($0.picture, in: step) }
  }

  /// Whether another picture takes its place in this step.
  private func isPassedOver(_ picture: Int) -> Bool {
    pictures.isPassedOver(picture, in: step)
  }

  /// Notes pictures that a lease was given back for.
  /// - Returns: whether there is anything to look into.
  mutating func accuse(_ reported: [UndecodablePicture], by peer: PeerID) -> Bool {
    guard reported.contains(where: { !isPassedOver($0.picture) }) else { return false }
    pictures.accuse(PictureAccusation(peer: peer, pictures: reported.map(\.picture)))
    return true
  }

  /// Has the next picture looked at that somebody says does not decode.
  mutating func examinePictures(_ effects: inout [Effect]) {
    guard phase == .computing, pictures.inExamination == nil, now >= pictures.examineNotBefore else { return }
    pictures.dropSettled(in: step)
    var suspect = pictures.accusations.first?.pictures.first { !isPassedOver($0) }
    for id in leases.waiting where suspect == nil && leases.counts.accusing > 0 {
      guard let finished = leases[id]?.finished else { continue }
      suspect = finished.undecodable.first { !isPassedOver($0.picture) }?.picture
    }
    guard let suspect else { return }
    pictures.inExamination = suspect
    effects.append(.examinePicture(suspect))
  }

  mutating func pictureExamined(_ picture: Int, _ verdict: PictureVerdict, _ effects: inout [Effect]) {
    if pictures.inExamination == picture { pictures.inExamination = nil }
    switch verdict {
    case .undecodable(let reason): passOver(picture, reason, &effects)
    case .decodes: acquit(picture, &effects)
    case .unavailable(let reason):
      pictures.examineNotBefore = now + CoordinationLimits.returnPause
      guard now >= pictures.complainNotBefore else { return }
      pictures.complainNotBefore = now + CoordinationLimits.complaint
      effects.append(
        .log(
          .warning, "Pictures cannot be read just now, and step \(step) waits for them: \(shortened(reason))"))
    }
  }

  /// Counts a picture that does not decode, and names it once.
  private mutating func passOver(_ picture: Int, _ reason: String, _ effects: inout [Effect]) {
    guard pictures.foundUndecodable(picture) else { return }
    let name = settings.pictures.name(picture)
    let reason = shortened(reason)
    effects.append(.log(.warning, "\(name) cannot be decoded, another picture takes its place: \(reason)"))
    pictures.name("\(name) (\(reason))")
    stopIfTooMany(&effects)
  }

  /// Who said of a picture that decodes that it does not has nothing to give.
  private mutating func acquit(_ picture: Int, _ effects: inout [Effect]) {
    let accusers = pictures.acquit(picture)
    let unfounded = leases.filter { $0.finished?.undecodable.contains { $0.picture == picture } ?? false }
    for lease in unfounded {
      drop(lease.id, tellWorker: true, &effects)
      exclude(lease.peer, from: lease.slices, for: CoordinationLimits.returnPause)
    }
    let peers = accusers + unfounded.map(\.peer)
    for (place, peer) in peers.enumerated() where !peers[..<place].contains(peer) {
      offend(
        peer,
        "\(settings.pictures.name(picture)) does not decode, it said, and it does: its libjpeg, libpng or libwebp may be "
          + "broken",
        &effects)
    }
  }
}

// MARK: - Lost pictures

extension Coordinator {
  /// Pictures without which this step is computed, ascending.
  public var lostPictures: [Int] { current.lost }

  /// Pictures that do not decode, as far as they were met.
  public var undecodablePictures: Set<Int> { pictures.undecodable }

  /// The coordinator can no longer read these pictures.
  ///
  /// A slice's result depends on which pictures are lost, so all slices of a step go by one list. Where the running step
  /// needs one of them it begins again; else they are lost from the next step on.
  /// - Parameter isMet: whether a slice of this step asked for one of them.
  mutating func picturesLost(_ unread: [Int], reason: String, isMet: Bool, _ effects: inout [Effect]) {
    if let picture = pictures.inExamination, unread.contains(picture) { pictures.inExamination = nil }
    guard phase == .computing || phase == .reducing || isUpdating && !isMet else { return }
    let first = isMet ? step : step + 1
    let new = unread.filter { 0..<settings.welcome.data.count ~= $0 && pictures.lost[$0] ?? .max > first }
    guard !new.isEmpty else { return }
    let before = new.compactMap { pictures.lost[$0] }.filter { $0 > first + 1 }.max()
    let known = pictures.lost
    pictures.lose(new, from: first)
    for picture in new.prefix(CoordinationLimits.undecodableNamed) {
      pictures.name("\(settings.pictures.name(picture)) (lost)")
    }
    if let why = tooManyPassedOver {
      // Not to be remembered: if they come back, so may the run.
      pictures.restore(known)
      return conclude(with: .permanent(why), &effects)
    }
    // Durable before any result that goes by it.
    effects.append(.recordLost(new.map { LostPicture(picture: $0, step: first) }))
    let named = new.prefix(CoordinationLimits.undecodableNamed).map(settings.pictures.name).joined(separator: ", ")
    let more =
      new.count > CoordinationLimits.undecodableNamed
      ? " and \(new.count - CoordinationLimits.undecodableNamed) more" : ""
    effects.append(
      .log(
        .warning,
        "\(named)\(more) cannot be read any more (\(shortened(reason))): from step \(first) on the next picture takes "
          + "the place, for good."))
    if let before {
      effects.append(
        .log(.warning, "Steps \(first) to \(before - 1) were computed with them before: their results now are others."))
    }
    if isMet { startOver(&effects) }
  }

  /// The step begins again: nothing of it counts.
  mutating func startOver(_ effects: inout [Effect]) {
    for lease in leases { drop(lease.id, tellWorker: true, &effects) }
    releaseGradients(&effects)
    phase = .computing
    beginStep()
    effects.append(.startOver(step: step))
  }

  private mutating func stopIfTooMany(_ effects: inout [Effect]) {
    if let why = tooManyPassedOver { conclude(with: .permanent(why), &effects) }
  }

  /// Why the run stops, if it does for its pictures.
  var tooManyPassedOver: String? {
    let all = settings.welcome.data.count
    let (lost, count) = (pictures.lost.count, pictures.passedOverCount)
    let names = pictures.names.joined(separator: ", ")
    let way = "massl fork --data goes on with the data set as it then is."
    if lost > WireLimits.lostPictures {
      return "\(lost) of \(all) pictures cannot be read any more, and \(WireLimits.lostPictures) are borne. The "
        + "first: \(names). Bring them back, or \(way)"
    }
    guard count * CoordinationLimits.undecodableShare > all else { return nil }
    let what = lost == 0 ? "decoded" : "decoded or read"
    return
      "\(count) of \(all) pictures cannot be \(what), more than one in \(CoordinationLimits.undecodableShare). The first: "
      + "\(names). Mend or remove them: \(way)"
  }
}
