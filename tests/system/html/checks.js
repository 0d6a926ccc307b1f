/* SPDX-License-Identifier: MIT */
/*
 * Runs inside the page, after it: uses it as a reader would, and leaves the
 * results as lines of TAP in the element the test reads.
 */
"use strict";

(() => {
const page = window.retour;
const results = [];

function equal(found, wanted, what) {
	const f = JSON.stringify(found), w = JSON.stringify(wanted);
	if (f !== w)
		throw new Error(`${what || "value"} is ${f}, not ${w}`);
}

function test(name, run) {
	try {
		page.set({ task: -1, process: -1, inverted: false, kernel: true, flip: false });
		page.reset();
		run();
		results.push(["ok", name]);
	} catch (e) {
		results.push(["not ok", name, String(e.stack || e)]);
	}
}

const total = (...path) => {
	const node = page.find(...path);
	return node < 0 ? null : page.view.total[node];
};
const press = (key, target = document.body) =>
	target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const text = id => document.getElementById(id).textContent;
const K1 = "[kernel+0xffff800000000020]", K2 = "[kernel+0xffff800000000010]";
const HOSTILE = "<" + "/script>;<b>";	/* this text, too, stands inside of a script element */

if (window.tests === "synthetic") {
	test("the tree is the recording's", () => {
		equal(total(), 102);
		equal(total("prog"), 95);
		equal(total("prog", "[prog+0x200]", "[prog+0x100]", "[prog+0x10]"), 60);
		equal(total("prog", "[prog+0x200]", "[prog+0x20]", K1, K2), 20);
		equal(total("prog", "[missing: exec]", K1, K2), 5);
		equal(total("kworker/0:1", K1), 3);
	});

	test("the quality line counts every sample", () => {
		equal(text("score"), "84.85 %of user stacks complete");
		equal([...document.querySelectorAll(".chip")].map(c => c.textContent),
		      ["no unwind info 10", "exec 5", "no user part 3"]);
	});

	test("hostile names are text", () => {
		equal(total(HOSTILE), 4);
		equal(document.querySelectorAll("img, b b").length, 0);
		equal([...document.querySelectorAll("#task option")].some(o => o.textContent.startsWith(HOSTILE)), true);
		page.zoomTo(page.find(HOSTILE));
		equal(document.querySelector("#crumbs button:last-of-type").textContent, HOSTILE);
	});

	test("without the kernel its samples are the callers'", () => {
		document.getElementById("kernel").click();
		equal(total(), 102);
		equal(total("prog", "[prog+0x200]", "[prog+0x20]"), 20);
		equal(page.find("prog", "[prog+0x200]", "[prog+0x20]", K1), -1);
		equal(document.getElementById("kernel").getAttribute("aria-pressed"), "false");
	});

	test("inverted, the innermost functions come first", () => {
		document.getElementById("inverted").click();
		equal(total(), 102);
		equal(total(K2), 28);
		equal(total(K2, K1, "[missing: exec]", "prog"), 5);
		equal(total("[prog+0x10]", "[prog+0x100]", "[prog+0x200]", "prog"), 60);
	});

	test("a task can be shown alone", () => {
		const option = [...document.querySelectorAll("#task option")].find(o => o.textContent.startsWith("prog"));
		page.setTask(option.value);
		equal(total(), 95);
		equal(total("kworker/0:1"), null);
		page.setTask("");
		equal(total(), 102);
	});

	test("search counts a sample once", () => {
		page.setQuery("^\\[prog");
		equal(page.matchedSamples, 90, "samples");
		equal(text("matched"), "matched 88.24 %");
		page.setQuery("LIBFOO");
		equal(page.matchedSamples, 10, "by note, function or DSO");
		page.setQuery("nothing like it");
		equal(page.matchedSamples, 0);
		page.setQuery("(");
		equal(page.matchedSamples, null);
		equal(document.getElementById("search").classList.contains("bad"), true);
		page.setQuery("");
		equal(text("matched"), "");
	});

	test("search follows the zoom", () => {
		page.setQuery("kernel");
		equal(page.matchedSamples, 28);
		page.zoomTo(page.find("kworker/0:1"));
		equal(text("matched"), "matched 100.00 %");
	});

	test("a click zooms, Escape resets", () => {
		const canvas = document.getElementById("flame"), box = canvas.getBoundingClientRect();
		const node = page.find("prog", "[prog+0x200]");
		const x = (page.view.x[node] + 1) / page.view.total[0] * page.width;
		equal(page.nodeAt(x, page.rowTop(2) + 5), node);
		canvas.dispatchEvent(new MouseEvent("click", { clientX: box.left + x, clientY: box.top + page.rowTop(2) + 5 }));
		equal(page.focus, node);
		equal([...document.querySelectorAll("#crumbs button")].map(b => b.textContent),
		      ["all", "prog", "[prog+0x200]"]);
		document.querySelector("#crumbs button").click();
		equal(page.focus, 0);
		page.zoomTo(node);
		press("Escape");
		equal(page.focus, 0);
	});

	test("the keyboard reaches everything", () => {
		press("ArrowDown");
		press("ArrowDown");
		equal(page.describe(page.selected).split("  ")[0], "prog");
		press("ArrowRight");
		equal(page.describe(page.selected).split("  ")[0], HOSTILE);
		press("ArrowLeft");
		press("Enter");
		equal(page.focus, page.find("prog"));
		press("Backspace");
		equal(page.focus, 0);
		press("i");
		equal(page.state.inverted, true);
		press("k");
		equal(page.state.kernel, false);
		press("f");
		equal(page.state.flip, true);
		const before = document.documentElement.dataset.theme;
		press("t");
		equal(document.documentElement.dataset.theme !== before, true);
		press("t");
		press("/");
		equal(document.activeElement.id, "search");
		press("i", document.activeElement);
		equal(page.state.inverted, true, "typing does not switch; inverted");
	});

	test("flipped, the root is at the bottom", () => {
		page.set({ flip: true });
		equal(page.rowTop(0) > page.rowTop(1), true);
		equal(page.nodeAt(5, page.rowTop(0) + 5), 0);
	});

	test("the tooltip shows DSO, self and total", () => {
		const node = page.find("prog", "[prog+0x200]", "[prog+0x100]", "[prog+0x10]");
		const canvas = document.getElementById("flame"), box = canvas.getBoundingClientRect();
		const x = (page.view.x[node] + 1) / page.view.total[0] * page.width;
		canvas.dispatchEvent(new MouseEvent("mousemove", { clientX: box.left + x,
								   clientY: box.top + page.rowTop(4) + 5 }));
		const tip = document.getElementById("tip");
		equal(tip.hidden, false);
		equal(tip.querySelector("b").textContent, "[prog+0x10]");
		equal(tip.querySelector(".dso").textContent, "/nonexistent/prog  (user)");
		equal([...tip.querySelectorAll("td")].map(td => td.textContent).filter(Boolean),
		      ["total", "60", "58.82 %", "self", "60", "58.82 %"]);
	});
}

if (window.tests === "processes") {
	test("processes of one name are one task, and can be told apart", () => {
		equal(total(), 30);
		equal(total("sh"), 24);
		equal(total("sh", "main"), 24);
		const options = [...document.querySelectorAll("#task option")];
		page.setTask(options.find(o => o.textContent.includes("process 11")).value);
		equal(total(), 16);
	});
}

if (window.tests === "big") {
	/* How long it takes is told, not judged: the machine may be busy with something else. */
	const told = [];
	const timed = (what, work) => {
		const began = performance.now();
		const result = work();
		told.push(`${what} ${(performance.now() - began).toFixed(1)} ms`);
		document.body.dataset.figures = told.join(", ");
		return result;
	};

	test("of 50,000 nodes what can be seen is drawn", () => {
		equal(page.view.fn.length > 50000, true, "enough nodes");
		page.drawNow();
		const rects = timed(`a frame of ${page.view.fn.length} nodes`, () => page.drawNow());
		equal(rects > 0 && rects < page.view.fn.length / 5, true, "rectangles below 0.3 pixels are left out");
	});

	test("50,000 nodes are inverted and searched", () => {
		timed("inverted and searched", () => {
			page.set({ inverted: true });
			page.setQuery("f1");
		});
		equal(page.view.total[0], page.data.quality.samples);
	});
}

const out = document.createElement("pre");
out.id = "results";
out.textContent = JSON.stringify({ results, figures: document.body.dataset.figures || null });
document.body.append(out);
})();
