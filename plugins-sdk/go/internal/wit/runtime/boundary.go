package runtime

// This file is Gatehouse's own.
//
// The gateway allocates in here (cabi_realloc) before an export is called and while an import is, and tells when it has read
// a result (cabi_post_…). In all of these the component must not call out (Component Model, canonical ABI: may_leave). Go's
// scheduler and garbage collector ask for the time whenever they run, which is a call out, and a trap. So:
// outside of the plugin's own code the monotonic clock stands still, and no collection is under way.

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// minGarbage is how much is allocated at least before it is collected.
	minGarbage = 4 << 20
	// headroom is how much one stretch of the plugin's own code may allocate before it is collected in its midst.
	headroom = 16 << 20
)

// muchHandedIn is how much the gateway may allocate at a boundary before memory is not called short any more.
const muchHandedIn = 1 << 20

// collectAt is the size of the heap at which it is collected at the next boundary.
var collectAt uint64 = minGarbage

// handedIn is what the gateway allocated since the plugin's own code ran.
var handedIn uintptr

var heap = []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}

var total = []metrics.Sample{{Name: "/memory/classes/total:bytes"}}

func init() {
	// Go collects at boundaries alone, unless memory runs short in between.
	debug.SetGCPercent(-1)
	expectGrowth()
	adapterMonotonicClockSetPaused(true)
}

// Enter begins a stretch of the plugin's own code.
func Enter() {
	if handedIn > muchHandedIn {
		expectGrowth()
	}
	handedIn = 0
	adapterMonotonicClockSetPaused(false)
}

// Leave ends it: what was begun to be collected has been, and time stands still.
func Leave() {
	if read(heap) >= collectAt {
		// Waits for a collection under way, which is there only if memory ran short, and so the heap is larger than this.
		runtime.GC()
		live := read(heap)
		collectAt = live + max(live, minGarbage)
		expectGrowth()
	}
	adapterMonotonicClockSetPaused(true)
}

// noteHandedIn sees that what the gateway allocates does not begin a collection, whatever its size.
func noteHandedIn(size uintptr) {
	before := handedIn
	handedIn += size
	if before <= muchHandedIn && handedIn > muchHandedIn {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// expectGrowth sets what is short of memory.
func expectGrowth() {
	debug.SetMemoryLimit(int64(read(total) + max(collectAt, headroom)))
}

func read(sample []metrics.Sample) uint64 {
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
