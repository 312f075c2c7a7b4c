// What every module builds with: elements, hooks and signals, from the libraries in vendor/.

import { createElement, Fragment, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(createElement);
export { Fragment, render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback, useId, useErrorBoundary } from "../vendor/hooks.js";
export { signal, computed, effect, batch } from "../vendor/signals.js";
