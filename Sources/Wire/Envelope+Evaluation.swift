internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing

// Evaluations of a step's teacher, from values to protobuf and back.

extension MessageMemory {
  func write(_ evaluate: Evaluate, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__Evaluate.self, massl__evaluate__init)
    invariant(1...WireLimits.evaluationPictures ~= evaluate.pictures.count, "\(evaluate.pictures.count) pictures")
    invariant(evaluate.classes.count == evaluate.pictures.count, "\(evaluate.classes.count) classes")
    c.pointee.lease = evaluate.lease.number
    c.pointee.step = number(evaluate.step)
    c.pointee.teacher = digest(evaluate.teacher)
    c.pointee.n_pictures = evaluate.pictures.count
    c.pointee.pictures = array(evaluate.pictures.map { number($0) })
    let classes = evaluate.classes.map { UInt32(number(($0 ?? -1) + 1, below: WireLimits.classes)) }
    if classes.contains(where: { $0 != 0 }) {
      c.pointee.n_classes = classes.count
      c.pointee.classes = array(classes)
    }
    envelope.pointee.evaluate = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_EVALUATE
  }

  func write(_ evaluated: Evaluated, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let (c, figures) = (make(Massl__Evaluated.self, massl__evaluated__init), evaluated.figures)
    c.pointee.lease = evaluated.lease.number
    c.pointee.pictures = UInt32(number(figures.pictures, below: WireLimits.evaluationPictures + 1))
    c.pointee.rank_me = figures.rankMe
    c.pointee.lidar = figures.lidar
    c.pointee.alpha_req = figures.alphaReQ
    c.pointee.right = UInt32(number(figures.right, below: figures.asked + 1))
    c.pointee.asked = UInt32(number(figures.asked, below: figures.pictures + 1))
    envelope.pointee.evaluated = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_EVALUATED
  }
}

extension FieldReader {
  func evaluate(_ c: Massl__Evaluate) throws(WireError) -> Evaluate {
    guard 1...WireLimits.evaluationPictures ~= c.n_pictures else {
      throw bad("evaluate.pictures", "has \(c.n_pictures), not 1 to \(WireLimits.evaluationPictures)")
    }
    var pictures: [Int] = []
    for picture in UnsafeBufferPointer(start: c.pictures, count: c.n_pictures) {
      let picture = try offset(picture, "evaluate.pictures")
      guard picture > pictures.last ?? -1 else { throw bad("evaluate.pictures", "are not ascending") }
      pictures.append(picture)
    }
    guard c.n_classes == 0 || c.n_classes == c.n_pictures else {
      throw bad("evaluate.classes", "has \(c.n_classes) for \(c.n_pictures) pictures")
    }
    var classes = [Int?](repeating: nil, count: pictures.count)
    for (place, label) in UnsafeBufferPointer(start: c.classes, count: c.n_classes).enumerated() {
      let label = try number(UInt64(label), "evaluate.classes", 0...(WireLimits.classes - 1))
      classes[place] = label == 0 ? nil : label - 1
    }
    return Evaluate(
      lease: LeaseID(c.lease), step: try step(c.step, "evaluate.step"),
      teacher: try digest(c.teacher, "evaluate.teacher"), pictures: pictures, classes: classes)
  }

  func evaluated(_ c: Massl__Evaluated) throws(WireError) -> Evaluated {
    let pictures = try number(UInt64(c.pictures), "evaluated.pictures", 0...WireLimits.evaluationPictures)
    let asked = try number(UInt64(c.asked), "evaluated.asked", 0...pictures)
    return Evaluated(
      lease: LeaseID(c.lease),
      figures: Evaluated.Figures(
        pictures: pictures, rankMe: try finite(c.rank_me, "evaluated.rank_me"),
        lidar: try finite(c.lidar, "evaluated.lidar"), alphaReQ: try finite(c.alpha_req, "evaluated.alpha_req"),
        right: try number(UInt64(c.right), "evaluated.right", 0...asked), asked: asked))
  }

  private func finite(_ value: Double, _ field: String) throws(WireError) -> Double {
    guard value.isFinite else { throw bad(field, "is \(value), not finite") }
    return value
  }
}
