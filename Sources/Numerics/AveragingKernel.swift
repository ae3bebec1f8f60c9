/// c = keep * a + gain * b, each element alone. `c` may be `a` or `b`.
public func average(_ a: Vector, keep: Float, _ b: Vector, gain: Float, into c: Vector) {
  invariant(a.count == c.count && b.count == c.count)
  let (a, b, c, count) = (a.base, b.base, c.base, c.count)
  let (keeps, gains) = (Lanes(repeating: keep), Lanes(repeating: gain))
  var i = 0
  while i + laneCount <= count {
    c.store((a.lanes(at: i) * keeps).addingProduct(b.lanes(at: i), gains), at: i)
    i += laneCount
  }
  if i < count {
    let rest = count - i
    let lanes = (a.lanes(at: i, first: rest) * keeps).addingProduct(b.lanes(at: i, first: rest), gains)
    c.store(lanes, at: i, first: rest)
  }
}
