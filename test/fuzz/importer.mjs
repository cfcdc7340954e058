/** Loads modules of the built dist at this URL. */
export const importer = (dist) => (path) => import(new URL(path, dist).href);
