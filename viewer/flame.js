/* SPDX-License-Identifier: MIT */
/*
 * The flame graph page.  The profile comes as one tree (nodes in pre-order);
 * what is shown is a view of it, built anew when the task, the kernel or the
 * inverted switch changes, and laid out in units of samples.  Zooming only
 * moves the window onto that layout.  Names are hostile: they reach the page
 * as text on the canvas and as textContent, never as markup.
 */
"use strict";

(() => {
const USER = 0, KERNEL = 1, JIT = 2, INLINED = 3, NOTE = 4, TASK = 5, ALL = 6;
const KIND_NAMES = ["user", "kernel", "JIT", "inlined", "", "task", ""];
const ROW = 20, MIN_PIXELS = 0.3, ZOOM_MS = 160, MAX_TASK_OPTIONS = 300;
const FONT = '11.5px ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';

const $ = id => document.getElementById(id);
const data = JSON.parse($("profile").textContent);
const canvas = $("flame"), ctx = canvas.getContext("2d"), scroller = $("scroll");

/* ---- the profile ---- */

const strings = data.strings;
const nFunctions = data.functions.length / 3;
const nameOf = f => strings[data.functions[3 * f]];
const dsoOf = f => strings[data.functions[3 * f + 1]];
const kindOf = f => data.functions[3 * f + 2];

/* Tasks of one name in several processes are one function in a view of all. */
const canonical = new Int32Array(nFunctions);
{
	const byName = new Map();
	for (let f = 0; f < nFunctions; f++) {
		canonical[f] = f;
		if (kindOf(f) !== TASK)
			continue;
		if (!byName.has(nameOf(f)))
			byName.set(nameOf(f), f);
		canonical[f] = byName.get(nameOf(f));
	}
}

const nSource = data.nodes.length / 3;
const source = { parent: new Int32Array(nSource), fn: new Int32Array(nSource), self: new Float64Array(nSource) };
for (let i = 0; i < nSource; i++) {
	source.parent[i] = i - data.nodes[3 * i];	/* below 0: a task */
	source.fn[i] = data.nodes[3 * i + 1];
	source.self[i] = data.nodes[3 * i + 2];
}

/* ---- the view ---- */

const state = { task: -1, process: -1, inverted: false, kernel: true, flip: false, query: "" };
let view;			/* see buildView() */
let focus = 0, selected = -1, hovered = -1;
let range = { from: 0, to: 1 };	/* of samples, what the width of the canvas shows */
let matches = null;		/* by function, or null without a search */

/* Node 0 is the root of all; children of a node are contiguous and sorted by total. */
function newView() {
	return { fn: [-1], parent: [-1], self: [0], index: new Map() };
}

function childOf(v, parent, fn) {
	const key = parent * nFunctions + fn;
	let node = v.index.get(key);
	if (node === undefined) {
		node = v.fn.length;
		v.fn.push(fn);
		v.parent.push(parent);
		v.self.push(0);
		v.index.set(key, node);
	}
	return node;
}

/* Is the task f to be shown? */
function taskShown(f) {
	if (state.process >= 0)
		return f === state.process;
	return state.task < 0 || canonical[f] === state.task;
}

/* From the outermost frame inwards; hidden frames give what they have to their caller. */
function fillTopDown(v) {
	const to = new Int32Array(nSource);
	for (let i = 0; i < nSource; i++) {
		const f = source.fn[i], p = source.parent[i];
		if (p < 0)
			to[i] = taskShown(f) ? childOf(v, 0, canonical[f]) : -1;
		else if (to[p] < 0 || (!state.kernel && kindOf(f) === KERNEL))
			to[i] = to[p];
		else
			to[i] = childOf(v, to[p], f);
		if (to[i] >= 0)
			v.self[to[i]] += source.self[i];
	}
}

/* From the innermost frame outwards. */
function fillInverted(v) {
	const shown = new Uint8Array(nSource);
	for (let i = 0; i < nSource; i++) {
		const p = source.parent[i];
		shown[i] = p < 0 ? taskShown(source.fn[i]) : shown[p];
		if (!shown[i] || !source.self[i])
			continue;
		let at = 0;
		for (let n = i; n >= 0; n = source.parent[n])
			if (state.kernel || kindOf(source.fn[n]) !== KERNEL)
				at = childOf(v, at, canonical[source.fn[n]]);
		v.self[at] += source.self[i];
	}
}

/* Totals, children in order, depths, and x in samples. */
function layOut(v) {
	const n = v.fn.length;
	const out = {
		fn: Int32Array.from(v.fn), parent: Int32Array.from(v.parent), self: Float64Array.from(v.self),
		total: Float64Array.from(v.self), depth: new Int32Array(n), x: new Float64Array(n),
		first: new Int32Array(n + 1), kids: new Int32Array(n), height: 1,
	};
	for (let i = n - 1; i > 0; i--)
		out.total[out.parent[i]] += out.total[i];
	for (let i = 1; i < n; i++)
		out.first[out.parent[i] + 1]++;
	for (let i = 0; i < n; i++)
		out.first[i + 1] += out.first[i];
	const fill = out.first.slice();
	for (let i = 1; i < n; i++)
		out.kids[fill[out.parent[i]]++] = i;
	for (let i = 0; i < n; i++) {	/* parents come before their children */
		let x = out.x[i];
		const kids = out.kids.subarray(out.first[i], out.first[i + 1]);
		kids.sort((a, b) => out.total[b] - out.total[a] || a - b);
		for (const kid of kids) {
			out.x[kid] = x;
			out.depth[kid] = out.depth[i] + 1;
			out.height = Math.max(out.height, out.depth[kid] + 1);
			x += out.total[kid];
		}
	}
	return out;
}

function buildView() {
	const v = newView();
	(state.inverted ? fillInverted : fillTopDown)(v);
	view = layOut(v);
	focus = 0;
	selected = hovered = -1;
	range = { from: 0, to: Math.max(view.total[0], 1) };
	if (matches)
		countMatches();
}

const kind = node => node === 0 ? ALL : kindOf(view.fn[node]);
const name = node => node === 0 ? "all" : nameOf(view.fn[node]);
const percent = (part, whole) => (whole ? 100 * part / whole : 0).toFixed(2) + " %";
const count = n => n.toLocaleString("en-US");

/* ---- search ---- */

let matchedSamples = 0;

function setQuery(text) {
	let expression = null;
	state.query = text;
	$("search").classList.remove("bad");
	if (text) {
		try {
			expression = new RegExp(text, "i");
		} catch (e) {
			$("search").classList.add("bad");
		}
	}
	matches = null;
	if (expression) {
		matches = new Uint8Array(nFunctions);
		for (let f = 0; f < nFunctions; f++)
			matches[f] = expression.test(nameOf(f)) || (kindOf(f) !== TASK && expression.test(dsoOf(f)));
		countMatches();
	} else {
		$("matched").textContent = text ? "bad pattern" : "";
	}
	draw();
}

/* Samples with a match on their chain, each once, within the frame zoomed to. */
function countMatches() {
	const stack = [focus];
	matchedSamples = 0;
	while (stack.length) {
		const node = stack.pop();
		if (node > 0 && matches[view.fn[node]]) {
			matchedSamples += view.total[node];
			continue;
		}
		for (let k = view.first[node]; k < view.first[node + 1]; k++)
			stack.push(view.kids[k]);
	}
	$("matched").textContent = "matched " + percent(matchedSamples, view.total[focus]);
}

/* ---- colours ---- */

function hash(text) {
	let h = 2166136261;
	for (let i = 0; i < text.length; i++)
		h = Math.imul(h ^ text.charCodeAt(i), 16777619);
	return (h ^ h >>> 15) >>> 0;
}

let theme = {};
let colours = [];	/* by function, made when first drawn */
let stripes;

function readTheme() {
	const style = getComputedStyle(document.documentElement);
	for (const key of ["frame-text", "all", "task", "hover", "gap", "match", "text", "soft", "bg"])
		theme[key] = style.getPropertyValue("--" + key).trim();
	theme.light = parseFloat(style.getPropertyValue("--lightness"));
	colours = [];
	stripes = makeStripes();
}

function makeStripes() {
	const tile = document.createElement("canvas"), c = tile.getContext("2d");
	tile.width = tile.height = 8;
	c.fillStyle = "#ffdeeb";
	c.fillRect(0, 0, 8, 8);
	c.strokeStyle = "#e64980";
	c.lineWidth = 2.6;
	for (let d = -8; d <= 8; d += 8) {
		c.beginPath();
		c.moveTo(d - 1, 9);
		c.lineTo(d + 9, -1);
		c.stroke();
	}
	return ctx.createPattern(tile, "repeat");
}

/* The hue tells the DSO, the shade the function. */
function makeColour(f) {
	const dso = hash(dsoOf(f)) % 1000 / 1000, shade = theme.light + (hash(nameOf(f)) % 1000 / 1000 - 0.5) * 9;
	switch (kindOf(f)) {
	case KERNEL: return `hsl(${204 + dso * 24}, 60%, ${shade + 2}%)`;
	case JIT: return `hsl(${140 + dso * 24}, 42%, ${shade}%)`;
	case INLINED: return `hsl(${54 + dso * 10}, 60%, ${shade}%)`;
	case TASK: return theme.task;
	case NOTE: return stripes;
	default: return `hsl(${10 + dso * 38}, 84%, ${shade}%)`;
	}
}

function colourOf(node) {
	if (node === 0)
		return theme.all;
	const f = view.fn[node];
	return colours[f] || (colours[f] = makeColour(f));
}

/* ---- drawing ---- */

let width = 0, height = 0, charWidth = 7, drawQueued = false, rectsDrawn = 0;

function resize() {
	const ratio = window.devicePixelRatio || 1;
	const rows = Math.max(view.height * ROW, 1);
	width = scroller.clientWidth;
	height = scroller.clientHeight;
	$("spacer").style.height = Math.max(rows, height) + "px";
	canvas.style.height = height + "px";
	canvas.width = Math.round(width * ratio);
	canvas.height = Math.round(height * ratio);
	ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
	ctx.font = FONT;
	ctx.textBaseline = "middle";
	charWidth = ctx.measureText("MMMMMMMMMM").width / 10;
	if (state.flip)
		scroller.scrollTop = scroller.scrollHeight;
	draw();
}

/* The top of a row on the canvas. */
function rowTop(depth) {
	const rows = Math.max(view.height * ROW, height);
	return (state.flip ? rows - (depth + 1) * ROW : depth * ROW) - scroller.scrollTop;
}

function rowAt(y) {
	const rows = Math.max(view.height * ROW, height);
	y += scroller.scrollTop;
	return Math.floor((state.flip ? rows - y : y) / ROW);
}

function draw() {
	if (drawQueued)
		return;
	drawQueued = true;
	requestAnimationFrame(drawNow);
}

function isAncestor(node, of) {
	for (let n = of; n > 0; n = view.parent[n])
		if (n === node)
			return true;
	return node === 0;
}

function drawNow() {
	const scale = width / (range.to - range.from);
	const stack = [0];
	drawQueued = false;
	rectsDrawn = 0;
	ctx.globalAlpha = 1;
	ctx.clearRect(0, 0, width, height);
	while (stack.length) {
		const node = stack.pop();
		drawFrame(node, scale);
		for (let k = view.first[node]; k < view.first[node + 1]; k++) {
			const kid = view.kids[k];
			if (view.total[kid] * scale < MIN_PIXELS)
				break;	/* the rest is smaller still */
			if (view.x[kid] < range.to && view.x[kid] + view.total[kid] > range.from)
				stack.push(kid);
		}
	}
	ctx.globalAlpha = 1;
}

function drawFrame(node, scale) {
	const y = rowTop(view.depth[node]);
	if (y <= -ROW || y >= height)
		return;
	const left = Math.max(0, (view.x[node] - range.from) * scale);
	const right = Math.min(width, (view.x[node] + view.total[node] - range.from) * scale);
	const gap = right - left > 3 ? 1 : 0, w = right - left - gap;
	const matched = matches && node > 0 && matches[view.fn[node]];
	const outer = focus !== 0 && view.depth[node] < view.depth[focus];
	rectsDrawn++;
	ctx.globalAlpha = outer || (matches && !matched) ? 0.42 : 1;
	ctx.fillStyle = matched ? theme.match : colourOf(node);
	if (w <= 6 && node !== selected && node !== hovered) {	/* most of them: no path, no label */
		ctx.fillRect(left, y, Math.max(w, MIN_PIXELS), ROW - 1);
		return;
	}
	ctx.beginPath();
	ctx.roundRect(left, y, Math.max(w, MIN_PIXELS), ROW - 1, 2.5);
	ctx.fill();
	if (node === hovered || node === selected) {
		ctx.fillStyle = theme.hover;
		ctx.fill();
		if (node === selected) {
			ctx.strokeStyle = theme.text;
			ctx.lineWidth = 1.5;
			ctx.stroke();
		}
	}
	drawLabel(node, left, w, y, matched);
}

function drawLabel(node, left, w, y, matched) {
	const room = Math.floor((w - 8) / charWidth);
	if (room < 3)
		return;
	let text = name(node);
	if (text.length > room)
		text = text.slice(0, room - 1) + "…";
	if (kind(node) === NOTE) {	/* readable on its stripes */
		ctx.fillStyle = "#ffdeeb";
		ctx.fillRect(left + 3, y + 2, text.length * charWidth + 4, ROW - 5);
	}
	if (ctx.globalAlpha < 1)
		ctx.globalAlpha = 0.8;
	ctx.fillStyle = matched ? "#fff" : kind(node) === NOTE ? "#a61e4d" : theme["frame-text"];
	if (document.documentElement.dataset.theme === "dark" && (node === 0 || ctx.globalAlpha < 1))
		ctx.fillStyle = theme.text;
	ctx.fillText(text, left + 5, y + ROW / 2);
}

/* ---- finding and moving ---- */

/* The frame at a point of the canvas, -1 if there is none. */
function nodeAt(px, py) {
	const at = range.from + px / width * (range.to - range.from), depth = rowAt(py);
	let node = 0;
	if (depth < 0 || depth >= view.height || at < 0 || at >= view.total[0])
		return -1;
	while (view.depth[node] < depth) {
		let next = -1;
		for (let k = view.first[node]; k < view.first[node + 1]; k++) {
			const kid = view.kids[k];
			if (at >= view.x[kid] && at < view.x[kid] + view.total[kid]) {
				next = kid;
				break;
			}
		}
		if (next < 0)
			return -1;
		node = next;
	}
	return node;
}

let animation = 0;

function moveTo(from, to) {
	const start = { ...range }, began = performance.now(), turn = ++animation;
	if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) {
		range = { from, to };
		draw();
		return;
	}
	const step = now => {
		if (turn !== animation)
			return;
		const t = Math.min(1, (now - began) / ZOOM_MS), e = 1 - (1 - t) ** 3;
		range = { from: start.from + (from - start.from) * e, to: start.to + (to - start.to) * e };
		drawNow();
		if (t < 1)
			requestAnimationFrame(step);
		else
			range = { from, to };
	};
	requestAnimationFrame(step);
}

function zoomTo(node) {
	focus = node;
	moveTo(view.x[node], view.x[node] + Math.max(view.total[node], 1));
	reveal(node);
	showCrumbs();
	if (matches)
		countMatches();
}

/* Scrolls so that a row is in sight. */
function reveal(node) {
	const y = rowTop(view.depth[node]);
	if (y < 0)
		scroller.scrollTop += y - ROW;
	else if (y + 2 * ROW > height)
		scroller.scrollTop += y + 2 * ROW - height;
}

function describe(node) {
	const dso = kind(node) < NOTE ? "  " + dsoOf(view.fn[node]) : "";
	return `${name(node)}${dso}  ${percent(view.total[node], view.total[0])}, ${count(view.total[node])} samples`;
}

function select(node) {
	if (node < 0 || node === undefined)
		return;
	selected = node;
	const end = view.x[node] + view.total[node];
	if (view.x[node] < range.from || end > range.to)
		zoomTo(isAncestor(node, focus) ? node : 0);
	reveal(node);
	$("status").textContent = describe(node);
	draw();
}

function sibling(node, step) {
	if (node <= 0)
		return -1;
	const p = view.parent[node], kids = view.kids.subarray(view.first[p], view.first[p + 1]);
	const at = kids.indexOf(node) + step;
	return at >= 0 && at < kids.length ? kids[at] : -1;
}

const firstChild = node => view.first[node] < view.first[node + 1] ? view.kids[view.first[node]] : -1;

/* ---- the page around the canvas ---- */

function element(tag, className, text) {
	const e = document.createElement(tag);
	if (className)
		e.className = className;
	if (text !== undefined)
		e.textContent = text;
	return e;
}

function showCrumbs() {
	const crumbs = $("crumbs"), path = [];
	for (let n = focus; n >= 0; n = view.parent[n])
		path.unshift(n);
	crumbs.replaceChildren();
	/* The ends of a long path say most. */
	const shown = path.length > 9 ? [...path.slice(0, 3), -1, ...path.slice(-5)] : path;
	shown.forEach((node, i) => {
		if (i)
			crumbs.append(element("span", "", "›"));
		if (node < 0) {
			crumbs.append(element("span", "", " … "));
			return;
		}
		const b = element("button", "", name(node));
		b.type = "button";
		b.title = name(node);
		b.onclick = () => zoomTo(node);
		crumbs.append(b);
	});
}

function row(table, label, part, more) {
	const tr = element("tr");
	tr.append(element("td", "", label), element("td", "", count(part)), element("td", "", percent(part, view.total[0])));
	if (more)
		tr.append(element("td", "", more));
	table.append(tr);
}

function showTip(node, event) {
	const tip = $("tip"), table = element("table"), k = kind(node);
	if (node < 0) {
		tip.hidden = true;
		return;
	}
	tip.replaceChildren(element("b", "", name(node)));
	if (k < NOTE)
		tip.append(element("div", "dso", dsoOf(view.fn[node]) + "  (" + KIND_NAMES[k] + ")"));
	else if (k === NOTE)
		tip.append(element("div", "dso", "the chain is not known beyond this point" +
				   (dsoOf(view.fn[node]) ? ": it stops in " + dsoOf(view.fn[node]) : "")));
	row(table, "total", view.total[node],
	    focus ? percent(view.total[node], view.total[focus]) + " of the frame zoomed to" : "");
	row(table, "self", view.self[node]);
	tip.append(table);
	tip.hidden = false;
	const box = tip.getBoundingClientRect();
	tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
	tip.style.top = (event.clientY + 20 + box.height > innerHeight ? event.clientY - box.height - 12
									: event.clientY + 18) + "px";
}

function hover(node, event) {
	if (node !== hovered) {
		hovered = node;
		$("status").textContent = node < 0 ? "" : describe(node);
		draw();
	}
	showTip(node, event);
}

function bar(q, parts) {
	for (const [key, n, label] of parts) {
		if (!n)
			continue;
		const i = element("i", key);
		i.style.flex = String(n);
		i.title = `${label}: ${count(n)} (${percent(n, q.samples)})`;
		$("bar").append(i);
	}
	$("bar").setAttribute("aria-label", parts.map(p => `${p[2]} ${p[1]}`).join(", "));
}

function chip(className, text, title) {
	const c = element("span", "chip " + className, text);
	c.title = title;
	$("reasons").append(c);
}

function showQuality() {
	const q = data.quality, score = $("score");
	const user = q.complete + q.truncated + q.missing;
	if (data.foreign) {
		score.append(element("b", "", count(q.samples)), "samples; whether their chains are complete is not known");
	} else {
		score.append(element("b", "", user ? percent(q.complete, user) : "–"), "of user stacks complete");
	}
	bar(q, [["complete", q.complete, "complete"], ["truncated", q.truncated, "truncated"],
		["missing", q.missing, "missing"], ["none", q.no_user, "no user part"]]);
	for (const [reason, n, text] of q.truncated_by)
		chip("truncated", `${reason} ${count(n)}`, "truncated: " + text);
	for (const [reason, n, text] of q.missing_by)
		chip("missing", `${reason} ${count(n)}`, "missing: " + text);
	if (q.no_user)
		chip("none", `no user part ${count(q.no_user)}`, "kernel threads and the idle task have no user stack");
	if (q.lost)
		chip("missing", `lost ${count(q.lost)}`, "samples that no buffer had room for");
}

function showFacts() {
	const facts = [count(data.quality.samples) + " samples", data.duration.toFixed(1) + " s"];
	if (data.events.length)
		facts.push(data.events.join(", "));
	if (data.backend)
		facts.push("backend " + data.backend);
	if (data.kernel)
		facts.push("Linux " + data.kernel);
	$("facts").textContent = facts.join("  ·  ");
	$("title").textContent = data.title;
	document.title = data.title + " – retour";
}

/* Tasks by name, and below each its processes if there are several. */
function fillTasks() {
	const totals = new Map(), chooser = $("task");
	for (let i = nSource - 1, sums = source.self.slice(); i >= 0; i--) {
		if (source.parent[i] >= 0)
			sums[source.parent[i]] += sums[i];
		else
			totals.set(source.fn[i], (totals.get(source.fn[i]) || 0) + sums[i]);
	}
	const names = new Map();
	for (const [f, n] of totals) {
		const entry = names.get(canonical[f]) || { total: 0, processes: [] };
		entry.total += n;
		entry.processes.push([f, n]);
		names.set(canonical[f], entry);
	}
	const option = (value, text) => {
		const o = element("option", "", text);
		o.value = value;
		chooser.append(o);
	};
	option("", "All tasks");
	for (const [f, entry] of [...names].sort((a, b) => b[1].total - a[1].total).slice(0, MAX_TASK_OPTIONS)) {
		option("t" + f, `${nameOf(f)}  (${count(entry.total)})`);
		if (entry.processes.length < 2)
			continue;
		for (const [p, n] of entry.processes.sort((a, b) => b[1] - a[1]).slice(0, 30))
			option("p" + p, `\u00a0\u00a0${dsoOf(p) ? "process " + dsoOf(p) : "other processes"}  (${count(n)})`);
	}
}

/* ---- what the user does ---- */

function rebuild() {
	buildView();
	scroller.scrollTop = 0;
	showCrumbs();
	resize();
}

function press(id, on) {
	$(id).setAttribute("aria-pressed", String(on));
}

function set(options) {
	Object.assign(state, options);
	press("inverted", state.inverted);
	press("kernel", state.kernel);
	press("flip", state.flip);
	rebuild();
}

function setTask(value) {
	set({ task: value[0] === "t" ? Number(value.slice(1)) : -1,
	      process: value[0] === "p" ? Number(value.slice(1)) : -1 });
}

function setTheme(dark) {
	document.documentElement.dataset.theme = dark ? "dark" : "light";
	readTheme();
	draw();
}

function reset() {
	$("search").value = "";
	selected = -1;
	$("status").textContent = "";
	setQuery("");
	zoomTo(0);
	scroller.scrollTop = state.flip ? scroller.scrollHeight : 0;
}

const outwards = () => select(selected < 0 ? focus : view.parent[selected]);
const inwards = () => select(selected < 0 ? focus : firstChild(selected));

const keys = {
	"/": () => $("search").focus(),
	Escape: reset,
	i: () => set({ inverted: !state.inverted }),
	k: () => set({ kernel: !state.kernel }),
	f: () => set({ flip: !state.flip }),
	t: () => setTheme(document.documentElement.dataset.theme !== "dark"),
	ArrowUp: () => (state.flip ? inwards : outwards)(),
	ArrowDown: () => (state.flip ? outwards : inwards)(),
	ArrowLeft: () => select(sibling(selected, -1)),
	ArrowRight: () => select(sibling(selected, 1)),
	Enter: () => selected >= 0 && zoomTo(selected),
	Backspace: () => focus && zoomTo(view.parent[focus]),
	Home: () => select(0),
};

function onKey(event) {
	const typing = event.target.matches("input, select"), key = event.key;
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (typing && key !== "Escape")
		return;
	if (key === "Enter" && event.target.matches("button"))
		return;
	const action = keys[key.length === 1 ? key.toLowerCase() : key];
	if (!action)
		return;
	event.preventDefault();
	action();
}

function listen() {
	const at = event => {
		const box = canvas.getBoundingClientRect();
		return nodeAt(event.clientX - box.left, event.clientY - box.top);
	};
	canvas.addEventListener("mousemove", event => hover(at(event), event));
	canvas.addEventListener("mouseleave", event => hover(-1, event));
	canvas.addEventListener("click", event => {
		const node = at(event);
		if (node >= 0)
			zoomTo(node);
	});
	scroller.addEventListener("scroll", () => {
		$("tip").hidden = true;
		draw();
	});
	$("search").addEventListener("input", event => setQuery(event.target.value));
	$("task").addEventListener("change", event => setTask(event.target.value));
	for (const id of ["inverted", "kernel", "flip"])
		$(id).addEventListener("click", () => set({ [id]: !state[id] }));
	$("reset").addEventListener("click", reset);
	$("theme").addEventListener("click", keys.t);
	document.addEventListener("keydown", onKey);
	window.addEventListener("resize", resize);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => setTheme(event.matches));
}

/* For tests, and for the console. */
window.retour = {
	data, state, set, setTask, setQuery, setTheme, zoomTo, select, reset, nodeAt, describe, rowTop,
	get view() { return view; },
	get focus() { return focus; },
	get selected() { return selected; },
	get range() { return range; },
	get matchedSamples() { return matches ? matchedSamples : null; },
	get width() { return width; },
	/* Draws at once; the number of rectangles. */
	drawNow: () => (drawNow(), rectsDrawn),
	/* The node of a path of names below the root, -1 if there is none. */
	find: (...path) => path.reduce((node, text) => {
		for (let k = node < 0 ? 0 : view.first[node]; node >= 0 && k < view.first[node + 1]; k++)
			if (name(view.kids[k]) === text)
				return view.kids[k];
		return -1;
	}, 0),
};

showFacts();
showQuality();
fillTasks();
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
listen();
rebuild();
})();
